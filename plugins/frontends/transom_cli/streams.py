"""The streams of an attached process: frames that keep stdout and stderr apart, and copying both ways."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections.abc import Iterable, Iterator

from transom_cli.errors import CommandFailed
from transom_cli.terminal import DetachKeys
from transom_cli.transport import Connection

__all__ = ["Frames", "copy_output", "exchange"]

_HEADER = struct.Struct(">BxxxL")
_READ = 32768


class Frames:
    """Takes Docker's multiplexed stream apart (Docker Engine API, "attach to a container", stream format).

    A frame is the number of its stream, three bytes of nothing, its length as four bytes, and its content.
    """

    def __init__(self) -> None:
        self._pending = b""
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the descriptor (1 or 2) and the bytes of each piece, as far as it has arrived.

        Raises `CommandFailed` for an error that the daemon sends as stream 3, and for bytes that are none.
        """
        data = self._pending + data
        position, size = 0, len(data)
        while position < size:
            if not self._left:
                if size - position < _HEADER.size:
                    break
                self._stream, self._left = _HEADER.unpack_from(data, position)
                position += _HEADER.size
                if self._stream > 3:
                    raise CommandFailed(f"Unrecognized input header: {self._stream}")
                continue
            if self._stream == 3:
                if size - position < self._left:
                    break
                message = data[position : position + self._left]
                raise CommandFailed(f"error from daemon in stream: {message.decode()}")
            end = min(position + self._left, size)
            self._left -= end - position
            # 0 is stdin, which a daemon may echo; it is shown as output.
            yield (2 if self._stream == 2 else 1), data[position:end]
            position = end
        self._pending = data[position:]


def copy_output(chunks: Iterable[bytes], terminal: bool) -> None:
    """Write a body in attach format to standard output and error; that of a terminal is not framed."""
    frames = Frames()
    for data in chunks:
        _show(data, None if terminal else frames)


def exchange(connection: Connection, *, terminal: bool, stdin: bool, detach_keys: DetachKeys | None = None) -> bool:
    """Copy an attached process's output to ours and, if `stdin`, our input to it, until its output ends.

    The end of our input closes its input only. Nothing waits while the other direction could go on, so a
    process that writes before it reads does not block. Returns whether the detach keys were typed.
    """
    frames = None if terminal else Frames()
    server = connection.socket
    server.setblocking(False)
    early = connection.early
    if early:
        _show(early, frames)
    waiting = b""
    while True:
        poll = select.poll()
        poll.register(server, select.POLLIN | (select.POLLOUT if waiting else 0))
        if stdin and not waiting:
            poll.register(0, select.POLLIN)
        ready = dict(poll.poll())
        if ready.get(server.fileno(), 0) & ~select.POLLOUT:
            data = _receive(server)
            if data == b"":
                return False
            if data:
                _show(data, frames)
        if 0 in ready:
            waiting = os.read(0, _READ)
            if not waiting:
                stdin = False
                _half_close(server)
            elif detach_keys is not None:
                waiting, detached = detach_keys.feed(waiting)
                if detached:
                    _send(server, waiting)
                    return True
        waiting = waiting[_send(server, waiting) :]


def _show(data: bytes, frames: Frames | None) -> None:
    """Write pieces, those that go to the same place one after the other together."""
    if frames is None:
        _write(1, data)
        return
    target = 1
    together: list[bytes] = []
    try:
        for descriptor, piece in frames.feed(data):
            if descriptor != target:
                before, together = together, []
                _write(target, b"".join(before))
                target = descriptor
            together.append(piece)
    finally:
        _write(target, b"".join(together))


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _receive(server: socket.socket) -> bytes | None:
    """Return what has arrived, b"" at the end, None if it was a false alarm."""
    try:
        return server.recv(65536)
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return b""


def _send(server: socket.socket, data: bytes) -> int:
    """Send what fits; return how much of `data` is done with."""
    try:
        return server.send(data) if data else 0
    except BlockingIOError:
        return 0
    except (BrokenPipeError, ConnectionResetError):
        # The process is gone; what it said last is still to be read.
        return len(data)


def _half_close(server: socket.socket) -> None:
    try:
        server.shutdown(socket.SHUT_WR)
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise
