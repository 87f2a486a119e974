"""Linux namespaces and a control group, made by system calls from the shim itself."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from transom.errors import DriverUnavailable, StartFailed
from transom.runtime.native import NativeDriver, require_namespaces
from transom.runtime.rootfs import Rootfs
from transom.runtime.syscalls import processes

__all__ = ["NamespacesDriver"]

#: By their names in config.json: the link in /proc/<pid>/ns, and the flag of clone(2).
_NAMESPACES = {
    "mount": ("mnt", processes.CLONE_NEWNS),
    "pid": ("pid", processes.CLONE_NEWPID),
    "network": ("net", processes.CLONE_NEWNET),
    "ipc": ("ipc", processes.CLONE_NEWIPC),
    "uts": ("uts", processes.CLONE_NEWUTS),
    "cgroup": ("cgroup", processes.CLONE_NEWCGROUP),
}
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


class NamespacesDriver(NativeDriver):
    """Runs a container in mount, pid, ipc, uts, net and cgroup namespaces of its own, as config.json asks."""

    name = "namespaces"
    rank = 100
    namespaces = frozenset(_NAMESPACES)
    limits = (
        "It does not filter system calls (seccomp).",
        "It does not map users: root in a container is root outside, with Docker's default capabilities.",
        "It does not control devices: root in a container may make and open the machine's (CAP_MKNOD).",
        "It does not limit resources.",
    )

    @classmethod
    def probe(cls, root: Path) -> None:
        """Return if the kernel has every namespace and this process may make them."""
        del root
        missing = [name for name, (link, _) in _NAMESPACES.items() if not Path("/proc/self/ns", link).exists()]
        if missing:
            raise DriverUnavailable(
                f"the kernel has no {' and no '.join(missing)} namespaces",
                "use a kernel with CONFIG_NAMESPACES",
            )
        require_namespaces(
            sum(flag for _, flag in _NAMESPACES.values()),
            "run the daemon as root with CAP_SYS_ADMIN, or use the chroot driver",
        )

    def birth_namespaces(self) -> int:
        """Return the namespaces that config.json wants new."""
        # A process is born into the control group that it will see as the root only after clone(2) looked at it, so
        # that namespace is made by the child.
        return sum(_NAMESPACES[kind][1] for kind, path in self._wanted().items() if not path and kind != "cgroup")

    @contextmanager
    def birth(self) -> Iterator[None]:
        """Lead into the pid namespace that config.json gives by path, which a process can only be born into."""
        path = self._wanted().get("pid")
        if not path:
            yield
            return
        with _children_in(_open(path)):
            yield

    def child_isolate(self) -> None:
        """Enter the namespaces that config.json gives by path, and set up the new ones."""
        wanted = self._wanted()
        for kind, path in wanted.items():
            if path and kind != "pid":
                descriptor = _open(path)
                processes.setns(descriptor, _NAMESPACES[kind][1])
                os.close(descriptor)
        if not self.moves:
            self._isolate_cgroup()
        if "network" in wanted and not wanted["network"]:
            _raise_loopback()
        if "uts" in wanted and not wanted["uts"]:
            processes.sethostname(self.config.get("hostname", ""))
            if self.config.get("domainname"):
                processes.setdomainname(self.config["domainname"])

    def child_released(self) -> None:
        """Make the control group namespace where the init was not yet in its groups before."""
        if self.moves:
            self._isolate_cgroup()

    def child_enter_root(self, rootfs: Rootfs) -> None:
        """Make it the root of the mount namespace."""
        rootfs.pivot()

    def _isolate_cgroup(self) -> None:
        wanted = self._wanted()
        if "cgroup" in wanted and not wanted["cgroup"]:
            processes.unshare(processes.CLONE_NEWCGROUP)

    @contextmanager
    def joining(self) -> Iterator[Callable[[], None]]:
        """Lead into all namespaces of the init."""
        pidfd = os.pidfd_open(self.pid)
        flags = sum(_NAMESPACES[kind][1] for kind in self._wanted() if kind != "pid")
        with _children_in(pidfd):
            yield lambda: processes.setns(pidfd, flags)

    def _wanted(self) -> dict[str, str | None]:
        return {item["type"]: item.get("path") for item in self.config["linux"]["namespaces"]}


def _open(path: str) -> int:
    """Open a namespace by its path."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StartFailed(
            f"unable to start container process: cannot join the namespace {path}: {error.strerror}"
        ) from error


@contextmanager
def _children_in(descriptor: int) -> Iterator[None]:
    """Let children of the `with` block be born into a pid namespace; its descriptor, or its process's, is closed."""
    home = os.open("/proc/self/ns/pid_for_children", os.O_RDONLY | os.O_CLOEXEC)
    try:
        processes.setns(descriptor, processes.CLONE_NEWPID)
        try:
            yield
        finally:
            processes.setns(home, processes.CLONE_NEWPID)
    finally:
        os.close(home)
        os.close(descriptor)


def _raise_loopback() -> None:
    """Set the loopback interface of the current network namespace up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        fcntl.ioctl(anything, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
