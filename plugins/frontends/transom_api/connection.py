"""A client's connection, in front of the HTTP server, so that a stream can be taken out of it.

`attach`, `exec start` and what brings a build to an SSH agent turn their connection into a raw stream (Docker Engine
API, "Hijacking"), and clients send
input right behind the request. An HTTP parser would take those bytes for the next request. So the end of such a request
is found here: the server gets the request and nothing more, and the rest is held, unread in the socket or in `_held`,
until the handler has decided whether there is a stream.
"""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from transom.errors import InvalidParameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

__all__ = ["Connection", "Stream", "connection_of"]

_STREAMING = re.compile(rb"POST [^ ?]*/(?:containers/[^ ?]+/attach|exec/[^ ?]+/start|session/[^ ?]+/streams/\d+)[ ?]")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_CODING = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
#: The longest request line, head and body of a request whose connection can become a stream; longer ones are
#: left to the server, which has limits of its own.
_LONGEST_LINE = 8190
_LONGEST_HEAD = 64 << 10
_LONGEST_BODY = 64 << 10


@dataclass(frozen=True)
class Stream:
    """A connection that was taken out of the server: its descriptor, which is the receiver's to close, and input that
    was read from it already."""

    descriptor: int
    leftover: bytes


class Connection(asyncio.Protocol):
    """One client's connection. What it receives goes to `inner`, aiohttp's protocol.

    `opened` and `closed` are called when it begins and ends.
    """

    def __init__(self, inner: asyncio.Protocol, opened: Callable[[], None], closed: Callable[[], None]) -> None:
        self._inner = inner
        self._opened = opened
        self._closed = closed
        self._transport: asyncio.Transport
        #: The beginning of a request that is not known to be one or the other kind.
        self._head = b""
        #: What came behind a request whose connection may become a stream; None for every other request.
        self._held: bytes | None = None
        self._answering = False
        #: The present request's answer, if its head has been sent and its body comes over time.
        self.begun: web.StreamResponse | None = None

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._opened()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._answering:
            self._inner.data_received(data)
        else:
            self._begin(self._head + data if self._head else data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed()
        self._inner.connection_lost(exc)

    # Requests

    def _begin(self, data: bytes) -> None:
        """Take the beginning of a request: wait for more, pass it on, or cut it off at its end."""
        self._head = b""
        end = _request_end(data)
        if end is None:
            self._head = data
            return
        self._answering = True
        if end > 0:
            self._transport.pause_reading()
            data, self._held = data[:end], data[end:]
        self._inner.data_received(data)

    def answered(self) -> None:
        """The handler of the present request has made its answer; the next request may come."""
        self._answering, self.begun = False, None
        if self._held is None or self._transport.is_closing():
            return
        held, self._held = self._held, None
        self._transport.resume_reading()
        if held:
            self._begin(held)

    async def take(self) -> Stream:
        """Take the connection out of the server, before anything is answered.

        The server only closes its own copy of the descriptor. Raises `InvalidParameter` if the end of the request could
        not be found.
        """
        held = self._held
        if held is None:
            raise InvalidParameter(
                "the connection cannot become a stream: send the request alone, with a Content-Length for its body"
            )
        while self._transport.get_write_buffer_size():
            await asyncio.sleep(0.01)
        descriptor = os.dup(self._transport.get_extra_info("socket").fileno())
        self._transport.close()
        os.set_blocking(descriptor, True)
        return Stream(descriptor, held)


def connection_of(request: web.Request) -> Connection:
    """Return the connection that a request came by. Raises `ConnectionResetError` if the client is gone."""
    transport = request.transport
    protocol = transport.get_protocol() if transport is not None else None
    if not isinstance(protocol, Connection):
        raise ConnectionResetError(f"the client of {request.method} {request.path} is gone")
    return protocol


def _request_end(data: bytes) -> int | None:
    """Return where a request ends that may become a stream; 0 for another one, None if that is not known yet."""
    line_end = data.find(b"\r\n", 0, _LONGEST_LINE)
    if line_end < 0:
        return None if len(data) < _LONGEST_LINE and b"POST ".startswith(data[:5]) else 0
    if not _STREAMING.match(data):
        return 0
    head_end = data.find(b"\r\n\r\n", line_end, _LONGEST_HEAD)
    if head_end < 0:
        return None if len(data) < _LONGEST_HEAD else 0
    head = data[: head_end + 4]
    if _CODING.search(head):
        return 0
    match = _LENGTH.search(head)
    length = int(match[1]) if match else 0
    if length > _LONGEST_BODY:
        return 0
    end = head_end + 4 + length
    return end if len(data) >= end else None
