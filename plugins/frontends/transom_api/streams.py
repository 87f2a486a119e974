"""Bodies that come over time: lines of JSON, frames of a process's output, connections that become raw streams."""

from __future__ import annotations

import array
import asyncio
import fcntl
import logging
import os
import struct
import termios
import time
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from transom.errors import TransomError
from transom_api.connection import Stream, connection_of
from transom_api.feed import Feed
from transom_api.jobs import engine_of
from transom_api.router import HEADERS, since_version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from transom.engine import Engine
    from transom.job import Job

__all__ = ["JSON_LINES", "frame", "hand_over", "json_line", "open_feed", "output_type"]

log = logging.getLogger(__name__)

JSON_LINES = "application/json"
_RAW = "application/vnd.docker.raw-stream"
_MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
_HEADER = struct.Struct(">BxxxL")
#: The last is for what goes wrong with the stream itself.
_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2, "systemerr": 3}
#: Seconds that a client may take to read the head of its answer before output is sent all the same.
_PATIENCE = 0.2


def json_line(value: Any) -> bytes:
    """Return one object of a stream of JSON, with the line end that Docker puts behind it."""
    return orjson.dumps(value) + b"\r\n"


def frame(stream: str, data: bytes) -> bytes:
    """Return a piece of output behind the header of its stream (Docker Engine API, "Stream format")."""
    return _HEADER.pack(_NUMBERS[stream], len(data)) + data


def output_type(request: web.Request, *, terminal: bool) -> str:
    """Return the content type of a process's output: frames, or what a terminal shows."""
    return _MULTIPLEXED if not terminal and since_version(request, "1.42") else _RAW


@asynccontextmanager
async def open_feed(request: web.Request) -> AsyncIterator[Feed[Any]]:
    """Give a feed for one answer. It ends when the daemon stops."""
    feed: Feed[Any] = Feed(asyncio.get_running_loop())
    feeds: set[Feed[Any]] = request.app["feeds"]
    feeds.add(feed)
    try:
        yield feed
    finally:
        feeds.discard(feed)
        feed.abandon()


async def hand_over(request: web.Request, name: str, *, terminal: bool, **parameters: Any) -> web.StreamResponse:
    """Make the connection a raw stream and run a job that gets it: as `connection`, to be duplicated, with `leftover`.

    The job calls `begin` when it has the connection where it belongs: that sends the head of the answer, on which
    clients go on to start what they attached to. An error before that is an ordinary answer; one that comes later is
    written to the stream, as a piece of standard output.
    """
    engine = engine_of(request)
    stream = await connection_of(request).take()
    answer = _Answer(stream, _head(request, terminal), terminal)
    try:
        job = engine.job(name, connection=stream.descriptor, leftover=stream.leftover, begin=answer.begin, **parameters)
        engine.submit(_run, engine, job, answer)
    except BaseException:
        answer.close()
        raise
    return web.Response()


class _Answer:
    """The answer on a connection that was taken: its head, sent once, and a complaint if the job fails."""

    def __init__(self, stream: Stream, head: bytes, terminal: bool) -> None:
        self._descriptor = stream.descriptor
        self._head = head
        self._terminal = terminal

    def begin(self) -> None:
        """Send the head, unless it was sent, and let the client read it.

        Clients that parse the head from a buffer and then read the connection itself, as the Docker SDK for Python
        does, lose what came together with it.
        """
        head, self._head = self._head, b""
        if head:
            self._write(head)
            _wait_until_read(self._descriptor)

    def fail(self, error: TransomError) -> None:
        """Send an error: as the answer, or in the stream if it has begun."""
        if not self._head:
            self.complain(str(error))
            return
        self._head = b""
        body = orjson.dumps({"message": str(error)}, option=orjson.OPT_APPEND_NEWLINE)
        headers = {
            **HEADERS,
            "Content-Type": JSON_LINES,
            "Content-Length": len(body),
            "Connection": "close",
        }
        lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._write("\r\n".join((*lines, "", "")).encode() + body)

    def complain(self, message: str) -> None:
        """Send a message in the stream."""
        line = f"{message}\r\n".encode()
        self.begin()
        self._write(line if self._terminal else frame("stdout", line))

    def close(self) -> None:
        """Give up this copy of the connection; a job that took it over has its own."""
        os.close(self._descriptor)

    def _write(self, data: bytes) -> None:
        try:
            os.write(self._descriptor, data)
        except OSError as error:
            # The job goes on: what was started is not stopped because the one who wanted to see it is gone.
            log.info("the client is gone that should have read %d bytes (%s)", len(data), error.strerror)


def _wait_until_read(connection: int) -> None:
    """Wait, not for long, until the other end has read what was sent to it (unix(7), SIOCOUTQ)."""
    end = time.monotonic() + _PATIENCE
    unread = array.array("i", (0,))
    pause = 0.0001
    while time.monotonic() < end:
        fcntl.ioctl(connection, termios.TIOCOUTQ, unread)
        if not unread[0]:
            return
        time.sleep(pause)
        pause = min(2 * pause, 0.005)


def _run(engine: Engine, job: Job, answer: _Answer) -> None:
    try:
        job.run()
    except TransomError as error:
        answer.fail(error)
    except Exception as error:
        if not engine.stopping.is_set():
            log.exception("the job %s failed", job.name)
        answer.complain(f"internal error: {type(error).__name__}: {error}")
    finally:
        answer.close()


def _head(request: web.Request, terminal: bool) -> bytes:
    if "Upgrade" in request.headers:
        lines = [
            "HTTP/1.1 101 UPGRADED",
            f"Content-Type: {output_type(request, terminal=terminal)}",
            "Connection: Upgrade",
            "Upgrade: tcp",
        ]
    else:
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {_RAW}"]
    return "\r\n".join((*lines, "", "")).encode()
