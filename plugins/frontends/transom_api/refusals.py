"""Handlers for what Docker has and this engine has not: a swarm, plugins that are images, sessions of a builder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from transom.errors import NotFound, Unavailable, Unsupported
from transom.filters import parse_truth, refuse_unknown
from transom_api.jobs import run
from transom_api.parameters import Query
from transom_api.router import answer
from transom_api.shapes_system import plugin_details

if TYPE_CHECKING:
    from aiohttp import web

    from transom.catalog import DriverInfo

__all__ = [
    "get_plugin",
    "get_plugins",
    "refuse_builder_session",
    "refuse_plugin_change",
    "refuse_swarm",
    "refuse_swarm_leave",
    "refuse_swarm_start",
]


async def refuse_swarm(_request: web.Request) -> NoReturn:
    """Anything of a swarm: nodes, services, tasks, secrets, configurations, cluster volumes."""
    raise Unavailable(
        'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm'
        " and try again."
    )


async def refuse_swarm_leave(_request: web.Request) -> NoReturn:
    """POST /swarm/leave."""
    raise Unavailable("This node is not part of a swarm")


async def refuse_swarm_start(_request: web.Request) -> NoReturn:
    """POST /swarm/init and /swarm/join."""
    raise Unsupported("this engine cannot be part of a swarm: run the containers on it one by one")


async def get_plugins(request: web.Request) -> web.StreamResponse:
    """GET /plugins: the drivers, as far as Docker has words for them."""
    filters = Query(request).filters()
    refuse_unknown(filters, ("capability", "enable"))
    enabled, kinds = parse_truth(filters, "enable"), filters.get("capability", ())
    drivers: tuple[DriverInfo, ...] = await run(request, "drivers")
    return answer(
        [
            plugin_details(driver)
            for driver in drivers
            if enabled in (None, not driver.unavailable) and (not kinds or f"{driver.kind}driver" in kinds)
        ]
    )


async def get_plugin(request: web.Request) -> web.StreamResponse:
    """GET /plugins/{name}/json."""
    name = request.match_info["name"]
    drivers: tuple[DriverInfo, ...] = await run(request, "drivers")
    for details in map(plugin_details, drivers):
        if name == details["Name"] or (name and details["Id"].startswith(name)):
            return answer(details)
    raise NotFound(f'plugin "{name}" not found')


async def refuse_plugin_change(_request: web.Request) -> NoReturn:
    """Installing, removing and changing plugins."""
    raise Unsupported(
        "plugins are Python packages here: install one beside the engine, or uninstall it, and start the engine again"
    )


async def refuse_builder_session(request: web.Request) -> NoReturn:
    """POST /session and /grpc, which clients of BuildKit open."""
    raise Unsupported(f"{request.path} is for clients of BuildKit, which is not in this engine: build without it")
