"""Handlers for containers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from transom.errors import InvalidParameter, Unavailable, Unsupported
from transom_api.bodies import parse_container, parse_update, warnings_of
from transom_api.endpoints import parse_endpoints
from transom_api.jobs import engine_of, run
from transom_api.parameters import Query, read_body, read_content
from transom_api.router import answer, empty, open_stream, since_version
from transom_api.shapes_containers import container_details, container_summary, process_table
from transom_api.streams import JSON_LINES, hand_over, json_line

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

    from transom.containers.model import Container, WaitResult

__all__ = [
    "delete_container",
    "get_container_json",
    "get_containers_json",
    "post_container_attach",
    "get_container_top",
    "post_container_kill",
    "post_container_pause",
    "post_container_rename",
    "post_container_resize",
    "post_container_restart",
    "post_container_start",
    "post_container_stop",
    "post_container_unpause",
    "post_container_update",
    "post_container_wait",
    "post_containers_create",
]

#: Bytes of a body that say nothing: `{}`, `null`, with white space. Old clients send one with a start.
_NOTHING = 7


async def post_containers_create(request: web.Request) -> web.StreamResponse:
    """POST /containers/create."""
    query = Query(request)
    body = await read_body(request)
    config, host = parse_container(body)
    if not since_version(request, "1.25"):
        # Those clients remove the container themselves.
        host = replace(host, auto_remove=False)
    created = await run(
        request,
        "create",
        name=query.text("name").removeprefix("/"),
        config=config,
        host=host,
        platform=query.text("platform"),
        networks=parse_endpoints(body),
    )
    return answer({"Id": created.id, "Warnings": [*created.warnings, *warnings_of(body)]}, 201)


async def get_containers_json(request: web.Request) -> web.StreamResponse:
    """GET /containers/json."""
    query = Query(request)
    found: tuple[Container, ...] = await run(
        request,
        "container_list",
        all=query.flag("all"),
        limit=query.number("limit") or 0,
        filters=query.filters(),
    )
    if not since_version(request, "1.46"):
        found = tuple(replace(container, host=replace(container.host, annotations={})) for container in found)
    linked = engine_of(request).containers.link_names()
    summaries = []
    for container in found:
        sizes = await run(request, "container_sizes", container=container.id) if query.flag("size") else None
        summaries.append(container_summary(container, sizes, linked.get(container.id, ())))
    return answer(summaries)


async def get_container_json(request: web.Request) -> web.StreamResponse:
    """GET /containers/{id}/json."""
    container: Container = await run(request, "inspect", container=_name(request))
    sizes = None
    if Query(request).flag("size"):
        sizes = await run(request, "container_sizes", container=container.id)
    engine = engine_of(request)
    directory: Path = engine.config.data_root / "containers" / container.id
    execs, linked = engine.supervisor.execs.of(container.id), engine.containers.linked(container)
    return answer(container_details(container, directory, execs, linked, sizes))


async def post_container_start(request: web.Request) -> web.StreamResponse:
    """POST /containers/{id}/start."""
    if Query(request).text("checkpoint"):
        raise Unsupported("starting a container from a checkpoint is not supported: leave out checkpoint")
    if len(await read_content(request)) > _NOTHING:
        raise InvalidParameter("a container is configured when it is created: send no body to start it")
    await run(request, "start", container=_name(request))
    return empty()


async def post_container_stop(request: web.Request) -> web.StreamResponse:
    """POST /containers/{id}/stop."""
    return await _stop(request, "stop")


async def post_container_restart(request: web.Request) -> web.StreamResponse:
    """POST /containers/{id}/restart."""
    return await _stop(request, "restart")


async def _stop(request: web.Request, job: str) -> web.StreamResponse:
    query = Query(request)
    await run(request, job, container=_name(request), timeout=query.number("t"), signal=query.text("signal"))
    return empty()


async def post_container_kill(request: web.Request) -> web.StreamResponse:
    """POST /containers/{id}/kill."""
    await run(request, "kill", container=_name(request), signal=Query(request).text("signal"))
    return empty()


async def post_container_resize(request: web.Request) -> web.StreamResponse:
    """POST /containers/{id}/resize."""
    query = Query(request)
    await run(request, "resize", container=_name(request), height=query.size("h"), width=query.size("w"))
    return empty(200)


async def post_container_pause(request: web.Request) -> web.StreamResponse:
    """POST /containers/{id}/pause."""
    await run(request, "pause", container=_name(request))
    return empty()


async def post_container_unpause(request: web.Request) -> web.StreamResponse:
    """POST /containers/{id}/unpause."""
    await run(request, "unpause", container=_name(request))
    return empty()


async def post_container_rename(request: web.Request) -> web.StreamResponse:
    """POST /containers/{id}/rename."""
    await run(request, "rename", container=_name(request), name=Query(request).text("name"))
    return empty()


async def post_container_update(request: web.Request) -> web.StreamResponse:
    """POST /containers/{id}/update."""
    restart = parse_update(await read_body(request))
    warnings = await run(request, "update", container=_name(request), restart=restart)
    return answer({"Warnings": warnings or None})


async def get_container_top(request: web.Request) -> web.StreamResponse:
    """GET /containers/{id}/top."""
    table = await run(request, "top", container=_name(request), arguments=Query(request).text("ps_args"))
    return answer(process_table(table))


async def delete_container(request: web.Request) -> web.StreamResponse:
    """DELETE /containers/{id}."""
    query = Query(request)
    await run(
        request,
        "remove",
        container=_name(request),
        force=query.flag("force"),
        volumes=query.flag("v"),
        link=query.flag("link"),
    )
    return empty()


async def post_container_wait(request: web.Request) -> web.StreamResponse:
    """POST /containers/{id}/wait.

    The head of the answer is sent as soon as the wait has begun: clients start the container only then.
    """
    future = await run(request, "wait", container=_name(request), condition=Query(request).text("condition"))
    stream = await open_stream(request, JSON_LINES)
    try:
        result: WaitResult = await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        if future.cancelled() and engine_of(request).stopping.is_set():
            raise Unavailable("the daemon is stopping") from None
        raise
    shape: dict[str, object] = {"StatusCode": result.status_code}
    if result.error:
        shape["Error"] = {"Message": result.error}
    await stream.write(json_line(shape))
    await stream.write_eof()
    return stream


async def post_container_attach(request: web.Request) -> web.StreamResponse:
    """POST /containers/{id}/attach: the connection becomes the container's streams."""
    query = Query(request)
    keys = query.detach_keys()
    container: Container = await run(request, "inspect", container=_name(request))
    return await hand_over(
        request,
        "attach",
        terminal=container.config.tty,
        container=container.id,
        stdin=query.flag("stdin"),
        stdout=query.flag("stdout"),
        stderr=query.flag("stderr"),
        stream=query.flag("stream"),
        logs=query.flag("logs"),
        detach_keys=keys,
    )


def _name(request: web.Request) -> str:
    return request.match_info["id"]
