"""Long bodies between clients and jobs: what a client sends as a job's input, what a job writes as an answer, and what
it reports on the way.

A job works in a thread with blocking streams; each call crosses into the event loop and waits there for the client, so
that a slow one slows its job down and memory stays bounded.
"""

from __future__ import annotations

import asyncio
import io
from typing import IO, TYPE_CHECKING, Any, TypeVar

from aiohttp import ClientError

from transom.errors import Cancelled, TransomError
from transom.job import Message, Progress
from transom_api.jobs import engine_of, run_job
from transom_api.progress import error_line, message_line
from transom_api.router import open_stream
from transom_api.streams import JSON_LINES, open_feed

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from concurrent.futures import Future

    from aiohttp import web

    from transom.engine import Engine
    from transom.job import Job

__all__ = ["TAR", "AnswerStream", "body_of", "report_progress", "run_with_body", "send_output"]

T = TypeVar("T")

TAR = "application/x-tar"
#: Bytes that are collected before they cross into the event loop.
_CHUNK = 256 << 10
#: Seconds after which a waiting thread looks whether there still is an event loop.
_LOOK = 1.0


def body_of(request: web.Request) -> io.BufferedReader:
    """Return a request's body as a binary stream for a thread. Reading raises `Cancelled` if the client goes away."""
    return io.BufferedReader(_Body(request), _CHUNK)


async def send_output(
    request: web.Request,
    name: str,
    *,
    content_type: str = TAR,
    headers: Mapping[str, str] | None = None,
    input: IO[bytes] | None = None,
    **parameters: Any,
) -> web.StreamResponse:
    """Run a job that gets a binary stream, `output`, and answer with what it writes there.

    An error before the first bytes are on the way is an answer as any other; after that the connection is cut, so that
    the body is not taken for whole. A client that goes away cancels the job, whose next `write` raises `Cancelled`.
    """
    output = AnswerStream(request, content_type, headers or {})
    job = engine_of(request).job(name, input=input, output=output, **parameters)
    output.crossing.job = job
    await run_job(engine_of(request), job)
    return await output.finish()


async def run_with_body(request: web.Request, name: str, **parameters: Any) -> Any:
    """Run a job whose input is the request's body, and return its result."""
    body = _Body(request)
    job = engine_of(request).job(name, input=io.BufferedReader(body, _CHUNK), **parameters)
    body.crossing.job = job
    return await run_job(engine_of(request), job)


async def report_progress(
    request: web.Request,
    name: str,
    *,
    input: IO[bytes] | None = None,
    silent: bool = False,
    begin: bool = False,
    patient: bool = False,
    **parameters: Any,
) -> web.StreamResponse:
    """Run a job and answer with what it reports, as lines of JSON; with `silent` without its progress.

    What goes wrong before there is any report is an error as everywhere, unless the answer is to `begin` with the job;
    after that the status has been sent, and the error is the last line of the stream. A job that is `patient` waits
    while the client is far behind, and loses nothing of what it reports.
    """
    engine = engine_of(request)
    async with open_feed(request) as feed:

        def report(message: Message) -> None:
            if silent and isinstance(message, Progress):
                return
            if not patient:
                feed.add(message)
                return
            try:
                feed.put(message)
            except Cancelled:
                # Whoever reports need not be who ends the job, and may be ending something else.
                job.cancel()

        job = engine.job(name, input=input, report=report, **parameters)

        def work() -> Any:
            try:
                return job.run()
            finally:
                feed.end()

        result = engine.submit(work)
        try:
            stream = await open_stream(request, JSON_LINES) if begin else None
            async for batch in feed.batches():
                if stream is None:
                    stream = await open_stream(request, JSON_LINES)
                await stream.write(b"".join(map(message_line, batch)))
            return await _finish(request, job, result, stream)
        except BaseException:
            job.cancel()
            raise


async def _finish(
    request: web.Request, job: Job, result: Future[Any], stream: web.StreamResponse | None
) -> web.StreamResponse:
    """Send the error of a job, if it had one, and end its answer."""
    if engine_of(request).stopping.is_set():
        job.cancel()
    try:
        await asyncio.wrap_future(result)
    except TransomError as error:
        if stream is None:
            raise
        await stream.write(error_line(str(error), getattr(error, "exit_code", 0)))
    stream = stream or await open_stream(request, JSON_LINES)
    await stream.write_eof()
    return stream


class _Crossing:
    """The way of a thread into the event loop."""

    def __init__(self, request: web.Request) -> None:
        self._engine: Engine = engine_of(request)
        self._loop = asyncio.get_running_loop()
        #: The job that waits; when it is cancelled it waits no longer.
        self.job: Job | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and return its result. Raises `Cancelled` if the client or the loop is gone."""
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:
            work.close()
            raise Cancelled("the daemon is stopping") from error
        while True:
            try:
                return future.result(_LOOK)
            except TimeoutError:
                if self.job is not None and self.job.cancelled:
                    future.cancel()
                    raise Cancelled(f"{self.job.name} was cancelled") from None
                if future.done() or (self._engine.stopping.is_set() and self._loop.is_closed()):
                    raise Cancelled("the client is gone, or the daemon is stopping") from None
            except (ConnectionError, asyncio.CancelledError) as error:
                raise Cancelled("the client is gone") from error


class _Body(io.RawIOBase):
    """What a client sends, piece by piece."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.crossing = _Crossing(request)
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._left or self.crossing.run(self._next())
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        self._left = data[size:]
        return size

    async def _next(self) -> bytes:
        try:
            return await self._request.content.readany()
        except ClientError as error:
            raise ConnectionError(str(error)) from error


class AnswerStream(io.RawIOBase):
    """The body of an answer, as a stream to write to. The head is sent with the first bytes."""

    def __init__(self, request: web.Request, content_type: str, headers: Mapping[str, str]) -> None:
        self._request = request
        self.crossing = _Crossing(request)
        self._content_type = content_type
        self._headers = headers
        self._waiting = bytearray()
        self._stream: web.StreamResponse | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting += data
        if len(self._waiting) >= _CHUNK:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Send what was collected, and wait until the client has taken most of it."""
        if self._waiting:
            data, self._waiting = bytes(self._waiting), bytearray()
            self.crossing.run(self._send(data))

    def close(self) -> None:
        """Nothing: the answer is ended by who began it, and only if all went well."""

    async def finish(self) -> web.StreamResponse:
        """Send what is left, and end the answer."""
        stream = await self._send(bytes(self._waiting))
        await stream.write_eof()
        return stream

    async def _send(self, data: bytes) -> web.StreamResponse:
        if self._stream is None:
            self._stream = await open_stream(self._request, self._content_type, self._headers)
        if data:
            await self._stream.write(data)
        return self._stream
