"""Handlers for networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom_api.jobs import run
from transom_api.parameters import Query
from transom_api.router import answer
from transom_api.shapes_system import network_details

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["get_network", "get_networks"]


async def get_networks(request: web.Request) -> web.StreamResponse:
    """GET /networks."""
    found = await run(request, "network_list", filters=Query(request).filters())
    return answer([network_details(network, with_containers=False) for network in found])


async def get_network(request: web.Request) -> web.StreamResponse:
    """GET /networks/{id}."""
    network = await run(request, "network_inspect", name=request.match_info["id"])
    return answer(network_details(network, with_containers=True))
