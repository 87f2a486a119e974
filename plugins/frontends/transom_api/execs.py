"""Handlers for processes that are added to running containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom_api.bodies import parse_exec
from transom_api.jobs import run
from transom_api.parameters import Query, read_body
from transom_api.router import answer, empty
from transom_api.shapes_containers import exec_details
from transom_api.streams import hand_over

if TYPE_CHECKING:
    from aiohttp import web

    from transom.containers.model import ExecRecord

__all__ = ["get_exec_json", "post_container_exec", "post_exec_resize", "post_exec_start"]


async def post_container_exec(request: web.Request) -> web.StreamResponse:
    """POST /containers/{id}/exec."""
    config = parse_exec(await read_body(request))
    exec_id = await run(request, "exec_create", container=request.match_info["id"], config=config)
    return answer({"Id": exec_id}, 201)


async def post_exec_start(request: web.Request) -> web.StreamResponse:
    """POST /exec/{id}/start: the connection becomes the process's streams, unless it is detached.

    Whether the process has a terminal was said when it was created. `Tty` says here whether the client expects what a
    terminal shows; without it even a terminal's output comes in frames. `ConsoleSize` goes with it.
    """
    body = await read_body(request)
    detach, terminal, size = body.boolean("Detach"), body.boolean("Tty"), body.size("ConsoleSize")
    record: ExecRecord = await run(request, "exec_inspect", exec=request.match_info["id"])
    if not terminal:
        size = (0, 0)
    if detach:
        await run(request, "exec_start", exec=record.id, detach=True, console_size=size)
        return empty(200)
    return await hand_over(
        request, "exec_start", terminal=terminal, framed=not terminal, exec=record.id, console_size=size
    )


async def post_exec_resize(request: web.Request) -> web.StreamResponse:
    """POST /exec/{id}/resize."""
    query = Query(request)
    await run(request, "exec_resize", exec=request.match_info["id"], height=query.size("h"), width=query.size("w"))
    return empty(200)


async def get_exec_json(request: web.Request) -> web.StreamResponse:
    """GET /exec/{id}/json."""
    return answer(exec_details(await run(request, "exec_inspect", exec=request.match_info["id"])))
