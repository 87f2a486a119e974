"""A log writer in a process of its own, beside the shim.

Writing to a socket, or to a disk that hangs, may have to wait. The shim must not: it has its container to serve. So
such a writer runs in a child of the shim, and the shim never waits for it: what the child has not taken is kept in
memory, up to a bound. Beyond that either the container waits (mode blocking: it is not read any more), or lines are
dropped as wholes (mode non-blocking).

The child opens the log and says so with one byte on a socket, or what went wrong. From there on it gets messages: the
number of the stream in one byte, the time in eight, the length in four, and what was written. It ends when the socket
does, with the log closed. A child that ends before is replaced when there is something to write again.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import traceback
from collections.abc import Callable
from typing import NoReturn

from transom.drivers.blame import expect
from transom.drivers.log import LogDriver, LogWriter
from transom.errors import StartFailed
from transom.runtime.container_log import sentence
from transom.runtime.streams import Loop
from transom.runtime.syscalls.processes import set_name

__all__ = ["LogProcess"]

_HEADER = struct.Struct(">BQI")
_STREAMS = ("stdout", "stderr")
_OPEN = b"\0"
_HIGHEST_DESCRIPTOR = 1 << 20
#: Seconds that the child may take for what is left when the container has ended. Docker gives as long.
_PATIENCE = 10


class LogProcess:
    """The shim's side of a log that is written by another process.

    `bound` is how many bytes may wait for it, `drops` what happens beyond: lines are dropped, or `full` says that no
    more should come until `on_change` is called. Raises `StartFailed` if the log cannot be opened.
    """

    def __init__(
        self, loop: Loop, driver: LogDriver, *, bound: int, drops: bool, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._loop = loop
        self._driver = driver
        self._bound = bound
        self._drops = drops
        self._on_change = on_change
        self._waiting = bytearray()
        #: Streams of which the rest of a line is dropped, since its beginning was.
        self._cut: set[str] = set()
        self._was_full = False
        self._closed: Callable[[], None] | None = None
        self._connection: socket.socket | None = None
        connection = self._start()
        problem = connection.recv(64 << 10)
        if problem != _OPEN:
            connection.close()
            os.close(self._child)
            raise StartFailed(problem.decode(errors="replace") or "the log's process ended")
        self._watch(connection)

    @property
    def full(self) -> bool:
        """Whether the container should wait."""
        return not self._drops and len(self._waiting) >= self._bound

    def write(self, stream: str, data: bytes, time: int) -> None:
        """Pass on what the container wrote, now or when there is room. Raises `OSError` if nobody takes it."""
        if self._drops:
            data = self._fitting(stream, data)
            if not data:
                return
        if self._connection is None:
            self._watch(self._start())
        self._waiting += _HEADER.pack(_STREAMS.index(stream), time, len(data)) + data
        self._flush()

    def close(self, closed: Callable[[], None]) -> None:
        """Have the log closed when everything is written, and call `closed` then, or when that takes too long."""
        if self._connection is None:
            closed()
            return
        self._closed = closed
        try:
            signal.pidfd_send_signal(self._child, signal.SIGTERM)
        except ProcessLookupError:
            # It has ended just now, which the connection will tell.
            pass
        self._flush()

    # The shim's side

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        child = os.fork()
        if not child:
            _serve(self._driver, theirs)
        theirs.close()
        # A number could be another process's by the time that it is used.
        self._child = os.pidfd_open(child)
        return ours

    def _watch(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._events = select.EPOLLIN
        self._loop.add(connection.fileno(), self._events, self._ready)

    def _ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
        if self._connection is not None and events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            try:
                said = self._connection.recv(1024)
            except BlockingIOError:
                return
            except OSError:
                said = b""
            if not said:
                self._end()

    def _flush(self) -> None:
        assert self._connection is not None
        try:
            while self._waiting:
                del self._waiting[: self._connection.send(self._waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self._end()
            return
        if self._closed is not None and not self._waiting:
            self._connection.shutdown(socket.SHUT_WR)
        events = select.EPOLLIN | (select.EPOLLOUT if self._waiting else 0)
        if events != self._events:
            self._events = events
            self._loop.change(self._connection.fileno(), events)
        self._tell()

    def _end(self) -> None:
        """The child has ended. What it had not taken, or not written, is lost unless it was closed in time."""
        assert self._connection is not None
        self._loop.remove(self._connection.fileno())
        self._connection.close()
        os.close(self._child)
        self._connection = None
        self._waiting.clear()
        if self._closed is not None:
            closed, self._closed = self._closed, None
            closed()
        else:
            self._tell()

    def _tell(self) -> None:
        if self.full != self._was_full:
            self._was_full = self.full
            self._on_change()

    def _fitting(self, stream: str, data: bytes) -> bytes:
        """Return as much of `data` as there is room for, in whole lines."""
        if stream in self._cut:
            start = data.find(b"\n") + 1
            if not start:
                return b""
            data = data[start:]
            self._cut.discard(stream)
        room = self._bound - len(self._waiting)
        if not self._waiting or len(data) <= room:
            return data
        kept = data[: data.rfind(b"\n", 0, max(room, 0)) + 1]
        if not data.endswith(b"\n"):
            self._cut.add(stream)
        return kept


# The child


def _serve(driver: LogDriver, connection: socket.socket) -> NoReturn:
    """Open the log and write what comes, until the connection ends."""
    code = 1
    try:
        set_name("transom-log")
        _become_independent(connection)
        try:
            writer = expect(driver, "open", LogWriter, driver.open())
        except Exception as error:
            connection.sendall(sentence(error).encode())
            raise
        connection.sendall(_OPEN)
        _copy(connection, writer)
        writer.close()
        code = 0
    except BaseException:  # noqa: BLE001 the last frame of the process: say why and end
        traceback.print_exc()
    finally:
        os._exit(code)


def _become_independent(connection: socket.socket) -> None:
    """Hold on to nothing of the shim's but the connection, and be ready for the word that the end has come."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    # A call that is interrupted is gone on with, so a write that hangs ends with the alarm and not before.
    signal.signal(signal.SIGTERM, lambda _number, _frame: signal.alarm(_PATIENCE))
    os.closerange(3, connection.fileno())
    os.closerange(connection.fileno() + 1, _HIGHEST_DESCRIPTOR)


def _copy(connection: socket.socket, writer: LogWriter) -> None:
    complained = False
    with connection.makefile("rb", buffering=256 << 10) as messages:
        while len(header := messages.read(_HEADER.size)) == _HEADER.size:
            stream, time, length = _HEADER.unpack(header)
            data = messages.read(length)
            if len(data) < length:
                # The shim was killed in the middle.
                return
            try:
                writer.write(_STREAMS[stream], data, time)
                complained = False
            except Exception:  # noqa: BLE001 a driver of anybody's
                if not complained:
                    traceback.print_exc()
                complained = True
