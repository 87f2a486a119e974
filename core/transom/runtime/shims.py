"""The daemon's side of the spawner and the shims: it has shims made, asks them, and hears from them."""

from __future__ import annotations

import itertools
import logging
import os
import select
import subprocess
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transom.errors import (
    Conflict,
    InvalidParameter,
    NotFound,
    StartFailed,
    TransomError,
    Unavailable,
    Unsupported,
)
from transom.runtime.channel import Channel, Message, connect
from transom.runtime.spawner import start_spawner

__all__ = ["Listener", "Shims", "checked"]

log = logging.getLogger(__name__)

#: Seconds that a shim may take for an answer: a freeze, or a program on a slow disk.
_PATIENCE = 120.0
_ERRORS: dict[int, type[TransomError]] = {
    error.status: error for error in (InvalidParameter, NotFound, Conflict, Unsupported, Unavailable)
}


@dataclass(frozen=True)
class Listener:
    """What the shims' owner is told. Each is called in the monitor's thread and must not block."""

    exited: Callable[[str, Message], None]
    exec_exited: Callable[[str, str, int, str], None]
    lost: Callable[[str], None]
    #: A client has detached by its keys from a container, or from a process that was added, by the exec's ID.
    detached: Callable[[str, str], None]


@dataclass(eq=False)
class _Shim:
    container: str
    channel: Channel
    waiting: dict[int, Future[Message]] = field(default_factory=dict)
    exited: bool = False


class Shims:
    """All shims of one engine, by container.

    `submit` does work in a thread; the monitor, which reads from all shims, is one such work that lasts until `close`.
    """

    def __init__(self, root: Path, listener: Listener, submit: Callable[[Callable[[], None]], Future[None]]) -> None:
        self.root = root
        root.mkdir(mode=0o700, exist_ok=True)
        self._listener = listener
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._shims: dict[str, _Shim] = {}
        self._by_descriptor: dict[int, _Shim] = {}
        self._modules: tuple[str, ...] = ()
        self._spawner: tuple[subprocess.Popen[bytes], Channel] | None = None
        self._epoll = select.epoll()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._epoll.register(self._wake_reader, select.EPOLLIN)
        self._closing = False
        self._monitor_done = submit(self._monitor)

    def preload(self, modules: Iterable[str]) -> None:
        """Start the spawner, and have it import what shims will need."""
        self._modules = tuple(modules)
        with self._lock:
            self._start_spawner()

    def directory(self, container: str) -> Path:
        """Return the directory of a container's shim."""
        return self.root / container

    def spawn(self, container: str, message: Message) -> None:
        """Make a shim, whose directory exists. Raises `Unavailable`."""
        ours, theirs = Channel.pair()
        request = {
            "op": "spawn",
            "container": container,
            "directory": str(self.directory(container)),
            **message,
        }
        try:
            with self._lock:
                self._start_spawner().send(request, theirs.fileno())
        except OSError as error:
            ours.close()
            raise Unavailable(f"cannot make a shim for the container {container}: {error.strerror}") from error
        finally:
            theirs.close()
        self._add(container, ours)

    def reconnect(self, container: str) -> bool:
        """Find the shim that an earlier daemon made; return whether it lives."""
        try:
            self._add(container, connect(self.directory(container), "control.sock"))
        except OSError:
            return False
        return True

    def has(self, container: str) -> bool:
        """Return whether a shim of the container is connected."""
        return container in self._shims

    def request(self, container: str, op: str, *descriptors: int, **fields: Any) -> Message:
        """Ask a shim and return its answer. Descriptors stay the caller's to close.

        Raises the error that the shim answered, or `Conflict` if there is none (any more).
        """
        answer = self.ask(container, op, *descriptors, **fields)
        try:
            message = answer.result(_PATIENCE)
        except FutureTimeout:
            raise Unavailable(f"the shim of the container {container} does not answer") from None
        return checked(message)

    def ask(self, container: str, op: str, *descriptors: int, **fields: Any) -> Future[Message]:
        """Ask a shim and return a future of its answer, which `checked` looks into. Raises `Conflict`."""
        shim = self._shims.get(container)
        if shim is None:
            raise Conflict(f"container {container} is not running")
        number = next(self._numbers)
        answer: Future[Message] = Future()
        with self._lock:
            shim.waiting[number] = answer
            try:
                shim.channel.send({"op": op, "number": number, **fields}, *descriptors)
            except OSError as error:
                del shim.waiting[number]
                raise Conflict(f"container {container} is not running: its shim is gone") from error
        return answer

    def close(self) -> None:
        """Leave the shims alone, and end the spawner."""
        self._closing = True
        os.write(self._wake_writer, b"x")
        self._monitor_done.result()
        with self._lock:
            for shim in self._shims.values():
                shim.channel.close()
            if self._spawner is not None:
                process, channel = self._spawner
                channel.close()
                process.wait()
        self._epoll.close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _start_spawner(self) -> Channel:
        """Return the channel to the spawner, which is started if it does not run."""
        if self._spawner is not None:
            process, channel = self._spawner
            if process.poll() is None:
                return channel
            log.warning("the spawner ended with status %s; starting another", process.returncode)
            channel.close()
        process, channel = start_spawner(self.root / "spawner.log")
        channel.send({"op": "preload", "modules": list(self._modules)})
        self._spawner = process, channel
        return channel

    def _add(self, container: str, channel: Channel) -> None:
        shim = _Shim(container, channel)
        with self._lock:
            self._shims[container] = shim
            self._by_descriptor[channel.fileno()] = shim
        self._epoll.register(channel.fileno(), select.EPOLLIN)

    def _monitor(self) -> None:
        while not self._closing:
            for descriptor, _ in self._epoll.poll():
                shim = self._by_descriptor.get(descriptor)
                if shim is None:
                    continue
                try:
                    self._hear(shim)
                except Exception:
                    # One shim's nonsense must not silence the others.
                    log.exception("a message of the shim of %s", shim.container)

    def _hear(self, shim: _Shim) -> None:
        received = shim.channel.receive()
        if received is None:
            self._drop(shim)
            return
        message, _ = received
        if "number" in message:
            with self._lock:
                answer = shim.waiting.pop(message["number"], None)
            if answer is not None:
                answer.set_result(message)
        elif message["event"] == "exit" and self._shims.get(shim.container) is shim:
            shim.exited = True
            self._listener.exited(shim.container, message["status"])
        elif message["event"] == "detach":
            self._listener.detached(shim.container, message["exec"])
        elif message["event"] == "exec":
            output = message.get("output", "")
            self._listener.exec_exited(shim.container, message["exec"], message["exit_code"], output)

    def _drop(self, shim: _Shim) -> None:
        with self._lock:
            self._epoll.unregister(shim.channel.fileno())
            del self._by_descriptor[shim.channel.fileno()]
            current = self._shims.get(shim.container) is shim
            if current:
                del self._shims[shim.container]
            shim.channel.close()
            waiting, shim.waiting = list(shim.waiting.values()), {}
        for answer in waiting:
            gone = f"container {shim.container} is not running: its shim has ended"
            answer.set_result({"error": gone, "status": Conflict.status})
        if current and not shim.exited:
            self._listener.lost(shim.container)


def checked(message: Message) -> Message:
    """Return a shim's answer, or raise the error that it is."""
    if "error" in message:
        raise _error(message)
    return message


def _error(message: Message) -> TransomError:
    if message.get("exit_code"):
        return StartFailed(message["error"], message["exit_code"])
    return _ERRORS.get(message.get("status", 500), TransomError)(message["error"])
