"""The handler for what a container uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom.errors import InvalidParameter, NotFound
from transom_api.jobs import engine_of, run
from transom_api.parameters import Query
from transom_api.router import answer, open_stream
from transom_api.shapes_stats import stats_details
from transom_api.streams import JSON_LINES, json_line, open_feed

if TYPE_CHECKING:
    from aiohttp import web

    from transom.containers.measurements import Measurement
    from transom.containers.model import Container
    from transom_api.feed import Feed

__all__ = ["get_container_stats"]


async def get_container_stats(request: web.Request) -> web.StreamResponse:
    """GET /containers/{id}/stats: a measurement each second, or one.

    Without `stream`, the one has the values of a second before in it, unless `one-shot` wants it at once.
    """
    query = Query(request)
    stream, one_shot = query.flag("stream", default=True), query.flag("one-shot")
    if stream and one_shot:
        raise InvalidParameter("cannot have stream=true and one-shot=true")
    container: Container = await run(request, "inspect", container=request.match_info["id"])
    if one_shot or not (stream or container.state.running):
        return answer(stats_details(container, await run(request, "stats", container=container.id)))
    async with open_feed(request) as feed:

        def watch(measurement: Measurement | None) -> None:
            if measurement is None:
                feed.end()
            else:
                feed.add(measurement)

        watching = await run(request, "stats_watch", container=container.id, watcher=watch)
        try:
            return await (_all(request, container, feed) if stream else _second(container, feed))
        finally:
            engine_of(request).supervisor.measurements.end(watching)


async def _all(request: web.Request, container: Container, feed: Feed[Measurement]) -> web.StreamResponse:
    """Send each measurement with the one before it, until the container is gone."""
    response = await open_stream(request, JSON_LINES)
    previous = None
    async for batch in feed.batches():
        for measurement in batch:
            await response.write(json_line(stats_details(container, measurement, previous)))
            previous = measurement
    await response.write_eof()
    return response


async def _second(container: Container, feed: Feed[Measurement]) -> web.StreamResponse:
    """Answer with the second measurement, or with the first if the container goes away before it."""
    seen: list[Measurement] = []
    async for batch in feed.batches():
        seen += batch
        if len(seen) > 1:
            break
    if not seen:
        raise NotFound(f"No such container: {container.id}")
    return answer(stats_details(container, seen[-1], seen[-2] if len(seen) > 1 else None))
