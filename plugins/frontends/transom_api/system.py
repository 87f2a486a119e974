"""Handlers for the engine as a whole: ping, version, info, drivers, events."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aiohttp import web

from transom_api.jobs import engine_of, run
from transom_api.parameters import Query, read_body
from transom_api.router import answer, open_stream
from transom_api.shapes_system import driver_details, event_message, info_details, version_details
from transom_api.streams import JSON_LINES, json_line, open_feed
from transom_api.transfer import report_progress

if TYPE_CHECKING:
    from transom.system import EventWatch

__all__ = ["get_drivers", "get_events", "get_info", "get_ping", "get_version", "post_drivers_compare"]

_PING_HEADERS = {
    "Builder-Version": "1",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Swarm": "inactive",
}


async def get_ping(_request: web.Request) -> web.StreamResponse:
    """GET and HEAD /_ping: is somebody there, and in which version?"""
    return web.Response(text="OK", headers=_PING_HEADERS)


async def get_version(request: web.Request) -> web.StreamResponse:
    """GET /version."""
    return answer(version_details(await run(request, "version")))


async def get_info(request: web.Request) -> web.StreamResponse:
    """GET /info."""
    return answer(info_details(await run(request, "info")))


async def get_drivers(request: web.Request) -> web.StreamResponse:
    """GET /drivers: the drivers of all kinds, and why those do not work that do not. Docker's API has no such thing."""
    return answer([driver_details(driver) for driver in await run(request, "drivers")])


async def post_drivers_compare(request: web.Request) -> web.StreamResponse:
    """POST /drivers/compare, an endpoint of our own: progress, and at the end an `aux` with all that was measured."""
    body = await read_body(request)
    return await report_progress(
        request,
        "driver_compare",
        drivers=body.strings("Drivers"),
        kind=body.string("Kind") or "graph",
        image=body.string("Image"),
        workloads=body.strings("Workloads"),
        runs=body.integer("Runs", 3),
        quick=body.boolean("Quick"),
    )


async def get_events(request: web.Request) -> web.StreamResponse:
    """GET /events: what happened since a time, and what happens until another."""
    query = Query(request)
    since, until, filters = query.time("since"), query.time("until"), query.filters()
    async with open_feed(request) as feed:
        watch: EventWatch = await run(request, "events", since=since, until=until, filters=filters, listener=feed.add)
        timer = None
        if until is not None:
            left = (until - time.time_ns()) / 1e9
            timer = asyncio.get_running_loop().call_later(max(left, 0), feed.end)
        try:
            stream = await open_stream(request, JSON_LINES)
            if watch.past:
                await stream.write(b"".join(json_line(event_message(event)) for event in watch.past))
            async for batch in feed.batches():
                await stream.write(b"".join(json_line(event_message(event)) for event in batch))
        finally:
            if timer is not None:
                timer.cancel()
            if watch.subscription is not None:
                engine_of(request).events.unsubscribe(watch.subscription)
    await stream.write_eof()
    return stream
