"""Sessions: what a build asks of its client while it runs, and how the client answers.

A client opens a session with `POST /session` and a header `X-Transom-Session`, a name of its own choice that nobody can
guess. The answer is a stream of JSON lines, one for each thing that a build wants, and lasts as long as the session:

    {"stream": 1, "kind": "secret", "id": "token"}

The client answers each at `/session/NAME/streams/1`, on a connection of its own, so that every stream has the flow
control of its socket and none waits for another: with a POST whose body is a secret or the archive of a local
`context`, a POST with `Upgrade: tcp` that becomes the connection to its `ssh` agent, or a GET whose answer is an
`output`. With a DELETE it says that it has none of that name. A stream that breaks off ends the build.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import socket
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import IO, TYPE_CHECKING, Any

from aiohttp import web

from transom.errors import Cancelled, Conflict, InvalidParameter, NotFound
from transom_api.connection import connection_of
from transom_api.parameters import read_content
from transom_api.refusals import refuse_builder_session
from transom_api.router import empty, open_stream
from transom_api.streams import JSON_LINES, json_line, open_feed
from transom_api.transfer import AnswerStream, body_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from transom_api.feed import Feed

__all__ = [
    "Session",
    "delete_session_stream",
    "get_session_stream",
    "post_session",
    "post_session_stream",
]

#: A name of a session: long enough that nobody guesses it.
_NAME = re.compile(r"[0-9a-zA-Z_-]{16,64}")
#: Bytes of a secret, as many as BuildKit takes.
_LONGEST_SECRET = 500 * 1024
_CHUNK = 256 << 10
#: Seconds after which a waiting thread looks whether the client is still there.
_LOOK = 1.0
_UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


class _Wanted:
    """One stream that a build waits for: `answer` becomes what the job gets."""

    def __init__(self, kind: str, id: str) -> None:
        self.kind = kind
        self.id = id
        self.answer: Future[Any] = Future()


class Session:
    """The daemon's half of a session, for the threads of a job (`transom.builds.BuildSession`)."""

    def __init__(self, feed: Feed[Any]) -> None:
        self._feed = feed
        self._streams: dict[str, _Wanted] = {}
        self._count = 0
        self._ended = False

    # For jobs

    def secret(self, id: str) -> bytes | None:
        """Return a secret, or None if the client has none of that name."""
        try:
            found: bytes = self._ask("secret", id)
        except NotFound:
            return None
        return found

    def open_ssh(self, id: str) -> socket.socket:
        """Return a connection to one of the client's SSH agents. Raises `NotFound`."""
        found: socket.socket = self._ask("ssh", id)
        return found

    def context(self, name: str) -> IO[bytes]:
        """Return a local directory of the client's as a tar archive. Raises `NotFound`."""
        found: IO[bytes] = self._ask("context", name)
        return found

    def output(self, name: str) -> IO[bytes]:
        """Return a stream to write a result to, in a `with` block. Raises `NotFound`."""
        found: IO[bytes] = self._ask("output", name)
        return found

    def _ask(self, kind: str, id: str) -> Any:
        """Ask the client for a stream, and wait for it. Raises `Cancelled` if the client goes away meanwhile."""
        wanted = _Wanted(kind, id)
        self._count += 1
        number = self._count
        self._streams[str(number)] = wanted
        self._feed.add({"stream": number, "kind": kind, "id": id})
        try:
            while True:
                try:
                    return wanted.answer.result(_LOOK)
                except FutureTimeout:
                    if self._ended:
                        wanted.answer.cancel()
                except CancelledError as error:
                    raise Cancelled("the client is gone") from error
        finally:
            self._streams.pop(str(number), None)

    # For handlers

    def wanted(self, number: str, kinds: tuple[str, ...]) -> _Wanted:
        """Return a stream that somebody waits for. Raises `NotFound`, and `Conflict` if it is of another kind."""
        found = self._streams.get(number)
        if found is None or found.answer.done():
            raise NotFound(f"no such stream: {number}")
        if found.kind not in kinds:
            raise Conflict(f"the stream {number} is of the kind {found.kind}, which is not answered in this way")
        return found

    def end(self) -> None:
        """The client is gone, or has no more to give: nobody waits for it any longer."""
        self._ended = True
        for wanted in tuple(self._streams.values()):
            wanted.answer.cancel()


class _Used:
    """Whether a thread has finished with a stream, and how: what a handler waits for."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._finished: asyncio.Future[bool] = self._loop.create_future()

    def finish(self, whole: bool) -> None:
        """Say that the stream has been used, as a whole or not. Called from any thread, and more than once."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._set, whole)

    def _set(self, whole: bool) -> None:
        if not self._finished.done():
            self._finished.set_result(whole)

    async def wait(self) -> bool:
        """Wait for that."""
        return await self._finished


class _Input(io.BufferedReader):
    """A body that a job reads; when it closes it, the client is told that no more is wanted."""

    def __init__(self, request: web.Request, used: _Used) -> None:
        super().__init__(body_of(request).detach(), _CHUNK)
        self._used = used

    def close(self) -> None:
        super().close()
        self._used.finish(True)


class _Output(io.BufferedIOBase):
    """An answer that a job writes, in a `with` block: what leaves that by an error is not taken for whole."""

    def __init__(self, answer: AnswerStream, finish: Callable[[bool], None]) -> None:
        self._answer = answer
        self._finish = finish

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._answer.write(data)

    def flush(self) -> None:
        self._answer.flush()

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._finish(True)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._finish(False)
        self.close()


async def post_session(request: web.Request) -> web.StreamResponse:
    """POST /session: a stream of what the builds of the session want of the client. BuildKit's sessions are refused."""
    name = request.headers.get("X-Transom-Session")
    if name is None:
        await refuse_builder_session(request)
    if not _NAME.fullmatch(name):
        raise InvalidParameter("invalid X-Transom-Session header: it should be 16 to 64 letters and digits")
    sessions: dict[str, Session] = request.app["sessions"]
    if name in sessions:
        raise Conflict("there is a session of that name: choose another one")
    async with open_feed(request) as feed:
        session = sessions[name] = Session(feed)
        try:
            stream = await open_stream(request, JSON_LINES)
            async for batch in feed.batches():
                await stream.write(b"".join(map(json_line, batch)))
        finally:
            del sessions[name]
            session.end()
    await stream.write_eof()
    return stream


async def post_session_stream(request: web.Request) -> web.StreamResponse:
    """POST /session/{name}/streams/{number}: a secret, a local directory, or a connection to an SSH agent."""
    wanted = _wanted(request, ("secret", "context", "ssh"))
    if wanted.kind == "secret":
        content = await read_content(request)
        if len(content) > _LONGEST_SECRET:
            raise InvalidParameter(f"the secret {wanted.id} is too long: it may have {_LONGEST_SECRET} bytes")
        _give(wanted, content)
        return empty()
    if wanted.kind == "ssh":
        stream = await connection_of(request).take()
        agent = socket.socket(fileno=stream.descriptor)
        try:
            # Not by another thread: a handler whose connection was taken is cancelled where it waits.
            os.write(stream.descriptor, _UPGRADED)
            _give(wanted, agent)
        except BaseException:
            agent.close()
            raise
        return web.Response()
    used = _Used()
    _give(wanted, _Input(request, used))
    await used.wait()
    return empty()


async def get_session_stream(request: web.Request) -> web.StreamResponse:
    """GET /session/{name}/streams/{number}: a result of the build."""
    wanted = _wanted(request, ("output",))
    used, answer = _Used(), AnswerStream(request, "application/octet-stream", {})
    _give(wanted, _Output(answer, used.finish))
    if not await used.wait():
        raise Cancelled("the build has failed")
    return await answer.finish()


async def delete_session_stream(request: web.Request) -> web.StreamResponse:
    """DELETE /session/{name}/streams/{number}: the client has nothing of that name."""
    wanted = _wanted(request, ("secret", "context", "ssh", "output"))
    wanted.answer.set_exception(NotFound(f"the client has no {wanted.kind} of the name {wanted.id}"))
    return empty()


def _wanted(request: web.Request, kinds: tuple[str, ...]) -> _Wanted:
    session: Session | None = request.app["sessions"].get(request.match_info["name"])
    if session is None:
        raise NotFound("no such session")
    return session.wanted(request.match_info["number"], kinds)


def _give(wanted: _Wanted, value: Any) -> None:
    """Give a job what it waits for. Raises `NotFound` if it waits no more."""
    if not wanted.answer.set_running_or_notify_cancel():
        raise NotFound("nobody waits for this stream any more")
    wanted.answer.set_result(value)
