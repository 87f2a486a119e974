"""How a driver makes a process and hands it over: fork, build, wait for the word, execute.

    shim                                    child
    Launch(work) ── clone3 ───────────────▶ work(gate): builds its environment
    wait_ready() ◀── ready, or the error ── gate.ready(terminal)
    release() ───── go ───────────────────▶ returns
    returns ◀────── end of file ─────────── execve closes the child's end; or the error

An error in the child is raised in the shim as the `StartFailed` that it is.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from typing import NoReturn

from transom.errors import StartFailed
from transom.runtime.syscalls.processes import clone3

__all__ = ["Gate", "Launch"]

_LIMIT = 64 << 10
_LONGEST_MESSAGE = 8 << 10
_HIGHEST_DESCRIPTOR = 1 << 20
#: Seconds that a child may take for each of its two parts; a process of the container might hold it up on purpose.
_PATIENCE = 60.0
_READY = b"ready"
_GO = b"go"


class Gate:
    """The child's end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def ready(self, terminal: int | None = None) -> None:
        """Say that all is built, hand over the terminal's controlling end if there is one, and wait for the word."""
        socket.send_fds(self._connection, [_READY], [] if terminal is None else [terminal])
        if terminal is not None:
            os.close(terminal)
        if self._connection.recv(len(_GO)) != _GO:
            os._exit(1)  # the shim is gone

    def close(self) -> None:
        """Leave the hand-over to a child, which has this end too."""
        self._connection.close()

    def fail(self, error: BaseException) -> None:
        """Report an error."""
        code = error.exit_code if isinstance(error, StartFailed) else 128
        message = str(error) if isinstance(error, StartFailed) else _sentence(error)
        self._connection.send(json.dumps([message[:_LONGEST_MESSAGE], code]).encode())

    def close_others(self) -> None:
        """Close every descriptor but the standard ones and this end.

        From here on the process resolves paths of the container, where /proc/self/fd must lead nowhere
        (CVE-2024-21626).
        """
        own = self._connection.fileno()
        os.closerange(3, own)
        os.closerange(own + 1, _HIGHEST_DESCRIPTOR)


class Launch:
    """A process in the making. `work` is called in the child with its `Gate` and ends by executing a program."""

    def __init__(self, work: Callable[[Gate], None], *, namespaces: int = 0, cgroup: int | None = None) -> None:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.settimeout(_PATIENCE)
        self.pid = clone3(namespaces, cgroup)
        if self.pid == 0:
            self._child(work, Gate(theirs))
        theirs.close()

    def wait_ready(self) -> int | None:
        """Wait until the child is built, and return its terminal's controlling end or None. Raises `StartFailed`."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._connection, _LIMIT, 1)
        except TimeoutError:
            self._timed_out()
        if data != _READY:
            self._failed(data)
        if not descriptors:
            return None
        os.set_inheritable(descriptors[0], False)
        return descriptors[0]

    def release(self) -> None:
        """Give the word, and return when the program is executing. Raises `StartFailed`."""
        self._connection.send(_GO)
        try:
            data = self._connection.recv(_LIMIT)
        except TimeoutError:
            self._timed_out()
        if data:
            self._failed(data)
        self._connection.close()

    def abandon(self) -> None:
        """Kill the child and take it away."""
        self._connection.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def _timed_out(self) -> NoReturn:
        self.abandon()
        raise StartFailed(f"unable to start container process: it was not ready after {_PATIENCE:.0f} seconds")

    def _failed(self, data: bytes) -> NoReturn:
        self.abandon()
        if not data:
            raise StartFailed("unable to start container process: it ended before its program was executed")
        message, code = json.loads(data)
        raise StartFailed(message, code)

    def _child(self, work: Callable[[Gate], None], gate: Gate) -> None:
        try:
            self._connection.close()
            work(gate)
        except BaseException as error:  # noqa: BLE001 the last frame of the child: tell the shim and end
            gate.fail(error)
        finally:
            os._exit(1)


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"unable to start container process: {error.strerror}: {os.fsdecode(error.filename)}"
    return f"unable to start container process: {error}"
