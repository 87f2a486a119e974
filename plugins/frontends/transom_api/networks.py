"""Handlers for networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom.errors import InvalidParameter, NotFound
from transom_api.endpoints import parse_endpoint, parse_network
from transom_api.jobs import run
from transom_api.parameters import Query, read_body
from transom_api.router import answer, empty
from transom_api.shapes_networks import network_details

if TYPE_CHECKING:
    from aiohttp import web

__all__ = [
    "delete_network",
    "get_network",
    "get_networks",
    "post_network_connect",
    "post_network_disconnect",
    "post_networks_create",
]


async def get_networks(request: web.Request) -> web.StreamResponse:
    """GET /networks."""
    found = await run(request, "network_list", filters=Query(request).filters())
    return answer([network_details(network, with_containers=False) for network in found])


async def get_network(request: web.Request) -> web.StreamResponse:
    """GET /networks/{id}."""
    if Query(request).text("scope") not in ("", "local"):
        raise NotFound(f"network {_name(request)} not found")
    network = await run(request, "network_inspect", name=_name(request))
    return answer(network_details(network, with_containers=True))


async def post_networks_create(request: web.Request) -> web.StreamResponse:
    """POST /networks/create."""
    network = await run(request, "network_create", network=parse_network(await read_body(request)))
    return answer({"Id": network.id, "Warning": ""}, 201)


async def post_network_connect(request: web.Request) -> web.StreamResponse:
    """POST /networks/{id}/connect."""
    body = await read_body(request)
    await run(
        request,
        "network_connect",
        name=_name(request),
        container=_required(body.string("Container")),
        settings=parse_endpoint(body.object("EndpointConfig")),
    )
    return empty(200)


async def post_network_disconnect(request: web.Request) -> web.StreamResponse:
    """POST /networks/{id}/disconnect."""
    body = await read_body(request)
    await run(
        request,
        "network_disconnect",
        name=_name(request),
        container=_required(body.string("Container")),
        force=body.boolean("Force"),
    )
    return empty(200)


async def delete_network(request: web.Request) -> web.StreamResponse:
    """DELETE /networks/{id}."""
    await run(request, "network_remove", name=_name(request))
    return empty()


def _name(request: web.Request) -> str:
    return request.match_info["id"]


def _required(container: str) -> str:
    if not container:
        raise InvalidParameter("missing Container: its name or ID is needed")
    return container
