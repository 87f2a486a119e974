"""The handler for a container's log."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from transom.errors import Cancelled, InvalidParameter, Unavailable
from transom_api.jobs import engine_of, run, run_job, run_plain
from transom_api.parameters import Query
from transom_api.router import open_stream
from transom_api.streams import frame, open_feed, output_type
from transom_api.times import fixed_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiohttp import web

    from transom.containers.model import Container
    from transom.drivers.log import Entry
    from transom.job import Job
    from transom_api.feed import Feed

__all__ = ["get_container_logs"]


async def get_container_logs(request: web.Request) -> web.StreamResponse:
    """GET /containers/{id}/logs."""
    query = Query(request)
    if not (query.flag("stdout") or query.flag("stderr")):
        raise InvalidParameter("Bad parameters: you must choose at least one stream")
    tail, since, until = _tail(query), query.time("since"), query.time("until")
    container: Container = await run(request, "inspect", container=request.match_info["id"])
    engine = engine_of(request)
    job = engine.job(
        "logs",
        container=container.id,
        stdout=query.flag("stdout"),
        stderr=query.flag("stderr"),
        since=since,
        until=until,
        tail=tail,
        follow=query.flag("follow"),
    )
    terminal = container.config.tty
    followers: set[Job] = request.app["followers"]
    if query.flag("follow"):
        # Each holds a thread of the engine's pool, of which others need some.
        if len(followers) >= engine.config.threads // 2:
            raise Unavailable(f"{len(followers)} clients follow logs, which is as many as can: try again later")
        followers.add(job)
    shape = _shape(terminal, details=query.flag("details"), timestamps=query.flag("timestamps"))
    async with open_feed(request) as feed:
        try:
            entries = await run_job(engine, job)
            stream = await open_stream(request, output_type(request, terminal=terminal))
            copying = engine.submit(_copy, entries, shape, feed)
            async for batch in feed.batches():
                await stream.write(b"".join(batch))
        finally:
            followers.discard(job)
            job.cancel()
            feed.abandon()
        # An error of the driver in the middle of the log: the answer must not look whole.
        await run_plain(engine, copying.result)
    await stream.write_eof()
    return stream


def _copy(entries: Iterator[Entry], shape: Callable[[Entry], bytes], feed: Feed[bytes]) -> None:
    """Feed a log's entries, as long as somebody reads them."""
    try:
        with closing(cast("Any", entries)):
            for entry in entries:
                feed.put(shape(entry))
    except Cancelled:
        return
    finally:
        feed.end()


def _shape(terminal: bool, *, details: bool, timestamps: bool) -> Callable[[Entry], bytes]:
    """Return how an entry is sent: after its time if wanted, after the attributes that no log here has, in a frame."""
    attributes = b" " if details else b""

    def shape(entry: Entry) -> bytes:
        line = attributes + entry.line
        if timestamps:
            line = fixed_time(entry.time).encode() + b" " + line
        return line if terminal else frame(entry.stream, line)

    return shape


def _tail(query: Query) -> int | None:
    if query.text("tail") in ("", "all"):
        return None
    number = query.number("tail")
    return None if number is None or number < 0 else number
