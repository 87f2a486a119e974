"""A mount namespace and chroot(2): little isolation, and little that a machine must allow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from transom.runtime.native import NativeDriver, require_namespaces
from transom.runtime.rootfs import Rootfs
from transom.runtime.syscalls import processes

__all__ = ["ChrootDriver"]


class ChrootDriver(NativeDriver):
    """Runs a container in a mount namespace of its own, with everything else the machine's."""

    name = "chroot"
    rank = 10
    namespaces = frozenset(("mount",))
    limits = (
        "It does not isolate processes: a container sees the machine's, and its root may signal them.",
        "It does not isolate the network: a container has the machine's interfaces and ports.",
        "It does not isolate the host name, System V IPC, message queues and the view of control groups.",
        "It does not filter system calls (seccomp), control devices, map users or limit resources.",
        "A root process with CAP_SYS_CHROOT can leave a chroot: run only what you trust.",
    )

    @classmethod
    def probe(cls, root: Path) -> None:
        """Return if this process may make a mount namespace."""
        del root
        require_namespaces(processes.CLONE_NEWNS, "run the daemon as root with CAP_SYS_ADMIN")

    def birth_namespaces(self) -> int:
        """Return the mount namespace."""
        return processes.CLONE_NEWNS

    def child_isolate(self) -> None:
        """There is no more."""

    def child_enter_root(self, rootfs: Rootfs) -> None:
        """Make it the root of the process."""
        rootfs.chroot()

    @contextmanager
    def joining(self) -> Iterator[Callable[[], None]]:
        """Lead into the init's mount namespace and root."""
        namespace = os.open(f"/proc/{self.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        root = os.open(f"/proc/{self.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

        def enter() -> None:
            processes.setns(namespace, processes.CLONE_NEWNS)
            os.fchdir(root)
            os.chroot(".")
            os.chdir("/")

        try:
            yield enter
        finally:
            os.close(root)
            os.close(namespace)
