"""The handler for a container's log."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from transom.drivers.blame import describe
from transom.errors import InvalidParameter
from transom_api.jobs import engine_of, run, run_plain
from transom_api.parameters import Query
from transom_api.router import open_stream
from transom_api.streams import frame, output_type
from transom_api.times import fixed_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp import web

    from transom.containers.logs import LogStream
    from transom.containers.model import Container
    from transom.drivers.log import Entry

__all__ = ["READERS", "get_container_logs"]

#: How many logs are read at a time. Any number of clients may follow; none of them holds a thread while it waits.
READERS = 4


async def get_container_logs(request: web.Request) -> web.StreamResponse:
    """GET /containers/{id}/logs."""
    query = Query(request)
    if not (query.flag("stdout") or query.flag("stderr")):
        raise InvalidParameter("Bad parameters: you must choose at least one stream")
    tail, since, until = _tail(query), query.time("since"), query.time("until")
    container: Container = await run(request, "inspect", container=request.match_info["id"])
    log: LogStream = await run(
        request,
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
    shape = _shape(terminal, details=query.flag("details"), timestamps=query.flag("timestamps"))
    woken = asyncio.Event()
    followers: set[asyncio.Event] = request.app["followers"]
    followers.add(woken)
    try:
        log.subscribe(_waker(woken))
        stream = await open_stream(request, output_type(request, terminal=terminal))
        await _copy(request, log, shape, woken, stream, terminal=terminal)
    finally:
        followers.discard(woken)
        engine_of(request).submit(log.close)
    await stream.write_eof()
    return stream


async def _copy(
    request: web.Request,
    log: LogStream,
    shape: Callable[[Entry], bytes],
    woken: asyncio.Event,
    stream: web.StreamResponse,
    *,
    terminal: bool,
) -> None:
    """Send what is in the log, and what comes, until it ends. A client that reads slowly is waited for.

    What cannot be read is said there, and raised.
    """
    readers: asyncio.Semaphore = request.app["readers"]

    def read() -> bytes:
        return b"".join([shape(entry) for entry in log.read()])

    while not log.ended:
        woken.clear()
        async with readers:
            try:
                piece = await run_plain(engine_of(request), read)
            except Exception as error:
                # The answer has begun: it says what is wrong, and is cut off so that it does not look whole.
                said = f"Error grabbing logs: {describe(error)}\n".encode()
                await stream.write(said if terminal else frame("systemerr", said))
                raise
        if piece:
            await stream.write(piece)
        elif not log.ended:
            await _wait(woken, log.until)


async def _wait(woken: asyncio.Event, until: int | None) -> None:
    """Wait until there may be more, but not much longer than until a time."""
    try:
        await asyncio.wait_for(woken.wait(), None if until is None else max(until - time.time_ns(), 0) / 1e9 + 0.001)
    except TimeoutError:
        pass


def _waker(woken: asyncio.Event) -> Callable[[], None]:
    """Return what wakes from any thread. That is dear, so it is not done for one who is awake."""
    loop = asyncio.get_running_loop()

    def wake() -> None:
        if not woken.is_set() and not loop.is_closed():
            loop.call_soon_threadsafe(woken.set)

    return wake


def _shape(terminal: bool, *, details: bool, timestamps: bool) -> Callable[[Entry], bytes]:
    """Return how an entry is sent: after its time and its attributes if they are wanted, in a frame."""

    def shape(entry: Entry) -> bytes:
        line = entry.line
        if details:
            line = _attributes(entry.attributes) + b" " + line
        if timestamps:
            line = fixed_time(entry.time).encode() + b" " + line
        return line if terminal else frame(entry.stream, line)

    return shape


def _attributes(attributes: Mapping[str, str]) -> bytes:
    """Return attributes as Docker writes them: by name, escaped as in a query."""
    return ",".join(f"{quote_plus(name)}={quote_plus(attributes[name])}" for name in sorted(attributes)).encode()


def _tail(query: Query) -> int | None:
    if query.text("tail") in ("", "all"):
        return None
    number = query.number("tail")
    return None if number is None or number < 0 else number
