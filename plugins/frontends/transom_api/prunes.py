"""Handlers for what removes all that is not used, and for what occupies the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transom_api.jobs import run
from transom_api.parameters import Query
from transom_api.router import answer, since_version
from transom_api.shapes_builds import cache_record
from transom_api.shapes_containers import container_summary
from transom_api.shapes_images import image_summary
from transom_api.shapes_volumes import volume_details

if TYPE_CHECKING:
    from aiohttp import web

    from transom.system import DiskUsage, Pruned

__all__ = [
    "get_system_df",
    "post_build_prune",
    "post_containers_prune",
    "post_networks_prune",
    "post_volumes_prune",
]


async def post_containers_prune(request: web.Request) -> web.StreamResponse:
    """POST /containers/prune."""
    pruned: Pruned = await run(request, "container_prune", filters=Query(request).filters())
    return answer({"ContainersDeleted": pruned.removed or None, "SpaceReclaimed": pruned.reclaimed})


async def post_volumes_prune(request: web.Request) -> web.StreamResponse:
    """POST /volumes/prune. Clients before version 1.42 mean the volumes that have a name too."""
    filters = Query(request).filters()
    if not since_version(request, "1.42"):
        filters["all"] = ("true",)
    pruned: Pruned = await run(request, "volume_prune", filters=filters)
    return answer({"VolumesDeleted": pruned.removed or None, "SpaceReclaimed": pruned.reclaimed})


async def post_networks_prune(request: web.Request) -> web.StreamResponse:
    """POST /networks/prune."""
    pruned: Pruned = await run(request, "network_prune", filters=Query(request).filters())
    return answer({"NetworksDeleted": pruned.removed or None})


async def post_build_prune(request: web.Request) -> web.StreamResponse:
    """POST /build/prune."""
    query = Query(request)
    pruned: Pruned = await run(
        request,
        "build_prune",
        filters=query.filters(),
        all=query.flag("all"),
        reserved_space=query.number("reserved-space") or query.number("keep-storage") or 0,
        max_used_space=query.number("max-used-space") or 0,
        min_free_space=query.number("min-free-space") or 0,
    )
    return answer({"CachesDeleted": list(pruned.removed) or None, "SpaceReclaimed": pruned.reclaimed})


async def get_system_df(request: web.Request) -> web.StreamResponse:
    """GET /system/df."""
    kinds = Query(request).texts("type") if since_version(request, "1.42") else ()
    usage: DiskUsage = await run(request, "disk_usage", kinds=kinds)
    with_virtual_size, with_none = not since_version(request, "1.44"), not since_version(request, "1.43")
    shape: dict[str, Any] = {
        "LayersSize": usage.layers,
        "Images": None
        if usage.images is None
        else [
            {
                **image_summary(image, with_virtual_size=with_virtual_size, with_none=with_none),
                "Containers": image.containers,
            }
            for image in usage.images
        ],
        "Containers": None
        if usage.containers is None
        else [container_summary(item.container, (item.own, item.whole)) for item in usage.containers],
        "Volumes": None
        if usage.volumes is None
        else [
            {
                **volume_details(item.volume),
                "UsageData": {"RefCount": item.users, "Size": -1 if item.size is None else item.size},
            }
            for item in usage.volumes
        ],
        "BuildCache": [cache_record(record) for record in usage.builds or ()]
        if not kinds or "build-cache" in kinds
        else None,
    }
    return answer(shape)
