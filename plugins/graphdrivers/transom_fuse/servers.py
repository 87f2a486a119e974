"""The daemon's side of the servers: they are started, and it is noticed when one dies that should not."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from transom.errors import Unavailable
from transom.runtime.channel import Channel

__all__ = ["Servers"]


#: Seconds that a server is given to end with its mount; one that is in use still goes on.
_PATIENCE = 1.0


class Servers:
    """The servers of one driver. Safe to use from many threads.

    `directory` is for their pipes and complaints. Whoever else serves mounts there, a server of an earlier daemon, is
    found by the pipe that it holds.
    """

    def __init__(self, directory: Path, on_loss: Callable[[str], object]) -> None:
        self._directory = directory
        self._on_loss = on_loss
        self._lock = threading.Lock()
        self._channel: Channel | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watched: dict[int, str] = {}
        #: The pipes of those that are expected to end.
        self._ending: list[int] = []
        self._poll = select.epoll()
        self._closed = os.eventfd(0, os.EFD_CLOEXEC)
        self._poll.register(self._closed, select.EPOLLIN)
        self._watcher: threading.Thread | None = None

    def start(self, name: str, device: int, root: Path, layers: Sequence[Path], work: Path | None) -> None:
        """Let a process serve a union on an open /dev/fuse. Raises `Unavailable` if it cannot."""
        pipe = self._pipe(name)
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe, 0o600)
        reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        writing = os.open(pipe, os.O_WRONLY | os.O_CLOEXEC)
        answers, theirs = Channel.pair()
        message = {
            "root": os.fspath(root),
            "layers": [os.fspath(layer.relative_to(root)) for layer in layers],
            "work": None if work is None else os.fspath(work.relative_to(root)),
        }
        try:
            with self._lock:
                self._nursery().send(message, device, theirs.fileno(), writing)
            theirs.close()
            os.close(writing)
            writing = -1
            received = answers.receive()
            if received is None or "error" in received[0]:
                reason = "it died" if received is None else received[0]["error"]
                raise Unavailable(f"no server for the union of {name} can be started: {reason}")
        except BaseException as error:
            os.close(reading)
            if writing >= 0:
                os.close(writing)
            pipe.unlink()
            if isinstance(error, OSError):
                raise Unavailable(f"no server for the union of {name} can be started: {error}") from error
            raise
        finally:
            answers.close()
            theirs.close()
        self._watch(name, reading)

    def find(self, name: str) -> bool:
        """Watch a server that an earlier daemon started; return whether it lives."""
        try:
            reading = os.open(self._pipe(name), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            os.read(reading, 1)
        except BlockingIOError:
            self._watch(name, reading)
            return True
        os.close(reading)
        return False

    def forget(self, name: str) -> None:
        """Expect a server to end."""
        with self._lock:
            self._ending = [descriptor for descriptor in self._ending if not _ended(descriptor)]
            for descriptor in [each for each, other in self._watched.items() if other == name]:
                self._poll.unregister(descriptor)
                del self._watched[descriptor]
                self._ending.append(descriptor)
        self._pipe(name).unlink(missing_ok=True)

    def close(self) -> None:
        """Let the servers live on, unwatched, and the process that makes them end.

        Those of mounts that nobody uses any more have ended then.
        """
        with self._lock:
            if self._channel is not None:
                self._channel.close()
                self._channel = None
            if self._process is not None:
                self._process.wait()
                self._process = None
            watcher = self._watcher
        os.eventfd_write(self._closed, 1)
        if watcher is not None:
            watcher.join()
        for descriptor in list(self._watched):
            self._unwatch(descriptor)
        for descriptor in self._ending:
            if not _ended(descriptor, _PATIENCE):
                os.close(descriptor)
        self._poll.close()
        os.close(self._closed)

    def _nursery(self) -> Channel:
        if self._process is not None and self._process.poll() is not None:
            self._channel = self._process = None
        if self._channel is None:
            self._channel, theirs = Channel.pair()
            command = "import sys; from transom_fuse import server; server.main(int(sys.argv[1]))"
            with open(self._directory / "log", "ab") as complaints:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", command, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=complaints,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    cwd="/",
                )
            theirs.close()
        return self._channel

    def _pipe(self, name: str) -> Path:
        return self._directory / f"{name}.pipe"

    def _watch(self, name: str, descriptor: int) -> None:
        with self._lock:
            self._watched[descriptor] = name
            self._poll.register(descriptor, 0)
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._wait, name="transom-fuse", daemon=True)
                self._watcher.start()

    def _unwatch(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        del self._watched[descriptor]
        os.close(descriptor)

    def _wait(self) -> None:
        while True:
            # A pipe without a writer is always reported (EPOLLHUP).
            for descriptor, _ in self._poll.poll():
                if descriptor == self._closed:
                    return
                with self._lock:
                    name = self._watched.get(descriptor)
                    if name is not None:
                        self._unwatch(descriptor)
                if name is not None:
                    self._on_loss(name)


def _ended(descriptor: int, seconds: float = 0) -> bool:
    """Return whether a server has ended, whose pipe's descriptor is closed then."""
    poll = select.poll()
    poll.register(descriptor, 0)
    if not poll.poll(seconds * 1000):
        return False
    os.close(descriptor)
    return True
