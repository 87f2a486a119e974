"""Handlers for what is done at registries: push, login, search, inspection from afar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom.graph.model import Platform
from transom.graph.reference import Reference
from transom_api.fields import parse_object
from transom_api.jobs import run
from transom_api.parameters import Query, parse_credentials, read_body, read_credentials
from transom_api.router import answer
from transom_api.shapes_registries import distribution_details, search_result
from transom_api.transfer import report_progress

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["get_distribution", "get_images_search", "post_auth", "post_images_push"]


async def post_images_push(request: web.Request) -> web.StreamResponse:
    """POST /images/{name}/push: push an image, or all tags of a repository."""
    query = Query(request)
    name, tag = request.match_info["name"], query.text("tag")
    reference = Reference.parse(name)
    if tag:
        reference.with_tag(tag)
    return await report_progress(
        request,
        "push",
        reference=name,
        tag=tag,
        platform=_platform(query.text("platform")),
        credentials=read_credentials(request),
    )


def _platform(text: str) -> str:
    """Return a platform, which the API has as a JSON object, as a job has it."""
    if not text:
        return ""
    fields = parse_object(text)
    return str(Platform(fields.string("os"), fields.string("architecture"), fields.string("variant")))


async def post_auth(request: web.Request) -> web.StreamResponse:
    """POST /auth: are these credentials good?"""
    fields = await read_body(request)
    result = await run(request, "auth", server=fields.string("serveraddress"), credentials=parse_credentials(fields))
    return answer({"Status": "Login Succeeded", "IdentityToken": result.identity_token})


async def get_images_search(request: web.Request) -> web.StreamResponse:
    """GET /images/search."""
    query = Query(request)
    found = await run(
        request,
        "image_search",
        term=query.text("term"),
        limit=query.number("limit") or 0,
        filters=query.filters(),
        credentials=read_credentials(request),
    )
    return answer([search_result(result) for result in found])


async def get_distribution(request: web.Request) -> web.StreamResponse:
    """GET /distribution/{name}/json: what a name stands for at its registry."""
    name, credentials = request.match_info["name"], read_credentials(request)
    return answer(
        distribution_details(await run(request, "distribution_inspect", reference=name, credentials=credentials))
    )
