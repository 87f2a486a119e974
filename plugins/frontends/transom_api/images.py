"""Handlers for images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom.errors import InvalidParameter, Unsupported
from transom.graph.reference import Reference
from transom_api.image_archives import post_images_import
from transom_api.jobs import run
from transom_api.parameters import Query, read_credentials
from transom_api.router import answer, empty, since_version
from transom_api.shapes_images import history_entry, image_details, image_summary, pruned, removed
from transom_api.shapes_layers import layer_report
from transom_api.transfer import report_progress

if TYPE_CHECKING:
    from aiohttp import web

__all__ = [
    "delete_images",
    "get_image_json",
    "get_images_history",
    "get_images_json",
    "get_images_layers",
    "post_image_tag",
    "post_images_create",
    "post_images_prune",
]


async def post_images_create(request: web.Request) -> web.StreamResponse:
    """POST /images/create: pull an image, or import one."""
    query = Query(request)
    if query.text("fromSrc"):
        return await post_images_import(request)
    name = query.text("fromImage")
    if not name:
        raise InvalidParameter("the parameter fromImage is missing: which image should be pulled?")
    tag = query.text("tag")
    reference = Reference.parse(name)
    return await report_progress(
        request,
        "pull",
        reference=name,
        tag=tag,
        platform=query.text("platform"),
        credentials=read_credentials(request),
        all_tags=not (tag or reference.tag or reference.digest),
    )


async def get_images_json(request: web.Request) -> web.StreamResponse:
    """GET /images/json."""
    query = Query(request)
    if query.flag("manifests"):
        raise Unsupported("images have one manifest here: leave out manifests")
    filters = query.filters()
    if query.text("filter") and not since_version(request, "1.41"):
        filters["reference"] = (query.text("filter"),)
    found = await run(
        request,
        "image_list",
        filters=filters,
        all=query.flag("all"),
        shared_size=query.flag("shared-size"),
    )
    with_virtual_size, with_none = not since_version(request, "1.44"), not since_version(request, "1.43")
    return answer([image_summary(image, with_virtual_size=with_virtual_size, with_none=with_none) for image in found])


async def get_image_json(request: web.Request) -> web.StreamResponse:
    """GET /images/{name}/json."""
    query = Query(request)
    if query.flag("manifests"):
        raise Unsupported("images have one manifest here: leave out manifests")
    details = await run(request, "image_inspect", name=request.match_info["name"], platform=query.platform("platform"))
    return answer(
        image_details(
            details,
            with_old_config=not since_version(request, "1.50"),
            with_virtual_size=not since_version(request, "1.44"),
            with_container=not since_version(request, "1.45"),
        )
    )


async def get_images_history(request: web.Request) -> web.StreamResponse:
    """GET /images/{name}/history."""
    platform = Query(request).platform("platform")
    entries = await run(request, "image_history", name=request.match_info["name"], platform=platform)
    return answer([history_entry(entry) for entry in entries])


async def get_images_layers(request: web.Request) -> web.StreamResponse:
    """GET /images/{name}/layers, an endpoint of our own."""
    query = Query(request)
    asked = {"offenders": query.number("offenders"), "nodes": query.number("nodes")}
    given = {name: number for name, number in asked.items() if number is not None}
    return answer(layer_report(await run(request, "image_layers", name=request.match_info["name"], **given)))


async def post_image_tag(request: web.Request) -> web.StreamResponse:
    """POST /images/{name}/tag."""
    query = Query(request)
    await run(
        request, "image_tag", name=request.match_info["name"], repository=query.text("repo"), tag=query.text("tag")
    )
    return empty(201)


async def delete_images(request: web.Request) -> web.StreamResponse:
    """DELETE /images/{name}."""
    query = Query(request)
    if query.text("platforms"):
        raise Unsupported("an image has one platform here: leave out platforms, so that all of it goes")
    steps = await run(
        request,
        "image_remove",
        name=request.match_info["name"],
        force=query.flag("force"),
        prune=not query.flag("noprune"),
    )
    return answer([removed(step) for step in steps])


async def post_images_prune(request: web.Request) -> web.StreamResponse:
    """POST /images/prune."""
    return answer(pruned(await run(request, "image_prune", filters=Query(request).filters())))
