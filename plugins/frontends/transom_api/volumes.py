"""Handlers for volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom.errors import Unsupported
from transom_api.jobs import run
from transom_api.parameters import Query, read_body
from transom_api.router import answer, empty
from transom_api.shapes_volumes import volume_details

if TYPE_CHECKING:
    from aiohttp import web

    from transom_api.fields import Fields

__all__ = ["delete_volume", "get_volume", "get_volumes", "post_volumes_create"]


async def get_volumes(request: web.Request) -> web.StreamResponse:
    """GET /volumes."""
    found = await run(request, "volume_list", filters=Query(request).filters())
    return answer({"Volumes": [volume_details(volume) for volume in found], "Warnings": None})


async def post_volumes_create(request: web.Request) -> web.StreamResponse:
    """POST /volumes/create."""
    body = await read_body(request)
    _refuse_cluster(body)
    volume = await run(
        request,
        "volume_create",
        name=body.string("Name"),
        driver=body.string("Driver") or "local",
        options=body.mapping("DriverOpts"),
        labels=body.mapping("Labels"),
    )
    return answer(volume_details(volume), 201)


async def get_volume(request: web.Request) -> web.StreamResponse:
    """GET /volumes/{name}."""
    return answer(volume_details(await run(request, "volume_inspect", name=request.match_info["name"])))


async def delete_volume(request: web.Request) -> web.StreamResponse:
    """DELETE /volumes/{name}."""
    await run(request, "volume_remove", name=request.match_info["name"], force=Query(request).flag("force"))
    return empty()


def _refuse_cluster(body: Fields) -> None:
    if "ClusterVolumeSpec" in body:
        raise Unsupported("cluster volumes are not supported: leave out ClusterVolumeSpec")
