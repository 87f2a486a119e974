"""Handlers for images as archives: save, load and import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom_api.parameters import Query
from transom_api.transfer import body_of, report_progress, send_output

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["get_image_get", "get_images_get", "post_images_import", "post_images_load"]


async def get_image_get(request: web.Request) -> web.StreamResponse:
    """GET /images/{name}/get."""
    return await _save(request, (request.match_info["name"],))


async def get_images_get(request: web.Request) -> web.StreamResponse:
    """GET /images/get."""
    return await _save(request, Query(request).texts("names"))


async def _save(request: web.Request, names: tuple[str, ...]) -> web.StreamResponse:
    return await send_output(request, "image_save", names=names, platform=Query(request).platform("platform"))


async def post_images_load(request: web.Request) -> web.StreamResponse:
    """POST /images/load: clients expect to hear in the stream what is wrong with an archive."""
    query = Query(request)
    return await report_progress(
        request,
        "image_load",
        input=body_of(request),
        begin=True,
        silent=query.flag("quiet") or not query.text("quiet"),
        platform=query.platform("platform"),
    )


async def post_images_import(request: web.Request) -> web.StreamResponse:
    """POST /images/create with `fromSrc`: make an image of the body, or of what is at a URL."""
    query = Query(request)
    return await report_progress(
        request,
        "image_import",
        input=body_of(request),
        source=query.text("fromSrc"),
        repository=query.text("repo"),
        tag=query.text("tag"),
        message=query.text("message"),
        changes=query.texts("changes"),
        platform=query.text("platform"),
    )
