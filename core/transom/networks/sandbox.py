"""Network namespaces of containers: made ahead of the container's process, and kept by a bind mount.

A namespace is handed to the exec driver by its path, as the OCI runtime specification has it (config-linux.md,
"Network"), so that every runtime can use it. It lasts until it is unmounted and the last process in it has ended; its
interfaces go with it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from transom.errors import TransomError
from transom.networks.netlink import Netlink
from transom.runtime.syscalls.mounts import MNT_DETACH, MS_BIND, mount, umount2
from transom.runtime.syscalls.processes import CLONE_NEWNET, setns, unshare

__all__ = ["Namespaces", "inside"]

T = TypeVar("T")

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_OWN = "/proc/thread-self/ns/net"


class Namespaces:
    """The network namespaces of one engine, mounted at `<root>/<container>`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, container: str) -> Path:
        """Return where a container's namespace is mounted."""
        return self._root / container

    def create(self, container: str) -> tuple[Path, Netlink]:
        """Make a namespace whose loopback interface is up; return its path and a socket inside it, the caller's."""
        self._root.mkdir(mode=0o700, exist_ok=True)
        path = self.path(container)
        self.remove(container)
        path.touch(mode=0o400)

        def work() -> Netlink:
            unshare(CLONE_NEWNET)
            mount(_OWN, path, None, MS_BIND)
            _raise_loopback()
            return Netlink()

        try:
            return path, _in_a_thread(work)
        except BaseException:
            self.remove(container)
            raise

    def remove(self, container: str) -> None:
        """Let a namespace go. Harmless if there is none."""
        path = self.path(container)
        try:
            umount2(path, MNT_DETACH)
        except OSError as error:
            # It was never mounted there.
            if error.errno not in (errno.EINVAL, errno.ENOENT):
                raise
        path.unlink(missing_ok=True)

    def containers(self) -> list[str]:
        """Return the containers that have a namespace here."""
        try:
            return [path.name for path in self._root.iterdir()]
        except FileNotFoundError:
            return []


def inside(path: str | Path, work: Callable[[], T]) -> T:
    """Do work in a network namespace and return its result. Raises `TransomError` if the namespace is gone."""

    def enter() -> T:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                setns(descriptor, CLONE_NEWNET)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise TransomError(f"cannot enter the network namespace {path}: {error.strerror}") from error
        return work()

    return _in_a_thread(enter)


def _in_a_thread(work: Callable[[], T]) -> T:
    """Do work in a thread that ends with it: what it does to its namespaces touches nobody else, whatever fails."""
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 raised in the thread that waits
            failures.append(error)

    thread = threading.Thread(target=run, name="transom-namespace")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        fcntl.ioctl(anything, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
