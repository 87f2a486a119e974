"""A container's control group: where its processes are counted, frozen and killed together.

Three layouts are in use (cgroups(7)): v2 alone at /sys/fs/cgroup, v1 hierarchies alone, and hybrid, v1 hierarchies with
a v2 one at /sys/fs/cgroup/unified. The v2 hierarchy is used wherever there is one, since it kills and freezes without
races; v1's freezer serves where there is none. What the processes use is counted by v1's controllers where those are,
and by v2's elsewhere: a container has a group in the hierarchy of each. With v2 alone its processes are born there.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transom.errors import Unavailable

__all__ = ["Cgroup", "announce_move", "layout"]

ROOT = Path("/sys/fs/cgroup")
#: Controllers that count what a group uses, by the names of v1's hierarchies and of v2's `cgroup.controllers`.
_COUNTING_V1 = ("cpu", "cpuacct", "memory", "pids", "blkio")
_COUNTING_V2 = ("cpu", "memory", "pids", "io")
#: How long a killed group may take to become empty, in seconds.
_PATIENCE = 10.0


def layout(root: Path = ROOT) -> str:
    """Return which layout this machine has: "v2", "hybrid", "v1" or "none"."""
    if (root / "cgroup.procs").exists():
        return "v2"
    if (root / "unified" / "cgroup.procs").exists():
        return "hybrid"
    return "v1" if (root / "freezer").is_dir() else "none"


def announce_move(root: Path = ROOT) -> None:
    """Have the kernel get ready for a process that is moved soon (`Cgroup.take`); this waits for some milliseconds.

    A move locks out all forks of the machine, for which the kernel first waits until every processor has passed a quiet
    point (percpu-rwsem). Another that follows soon need not wait. This one is of the calling process, to where it is.
    """
    if layout(root) not in ("v1", "hybrid"):
        return
    for controller, path in _groups_of_this_process():
        if controller in _COUNTING_V1:
            try:
                _write(root / controller / path.lstrip("/") / "cgroup.procs", "0")
            except OSError:
                # Its group is not to be seen from here: then the move takes its time.
                continue
            return


class Cgroup:
    """One control group, by its path below each hierarchy's root (`/transom/<container>`)."""

    def __init__(self, path: str, root: Path = ROOT) -> None:
        self.path = path
        self._root = root
        self.layout = layout(root)
        name = path.lstrip("/")
        hierarchy = {"v2": root, "hybrid": root / "unified", "v1": root / "freezer"}.get(self.layout)
        #: Where its processes are found, frozen and killed; None where there is no such hierarchy.
        self.directory = None if hierarchy is None else hierarchy / name
        #: Where v1's controllers count, by controller; some share a hierarchy, and so a directory.
        self.counting: dict[str, Path] = {}
        if self.layout in ("v1", "hybrid"):
            self.counting = {kind: (root / kind).resolve() / name for kind in _COUNTING_V1 if (root / kind).is_dir()}

    def create(self) -> None:
        """Make the group. Harmless if it exists."""
        for directory in self._directories():
            _make(directory)
        if self.layout == "v2":
            self._enable_counting()

    @contextmanager
    def birthplace(self) -> Iterator[int | None]:
        """Give a descriptor of the group in which a process can be born, or None where it has to be moved (`take`)."""
        if self.directory is None or self.moves:
            yield None
            return
        descriptor = os.open(self.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @property
    def moves(self) -> bool:
        """Whether processes come into the group by being moved: v1 knows no other way."""
        return self.layout in ("v1", "hybrid")

    def take(self, process: int) -> None:
        """Move a process into the group, if it was not born there. Harmless if it has ended."""
        if self.moves:
            try:
                for directory in self._directories():
                    _write(directory / "cgroup.procs", str(process))
            except ProcessLookupError:
                return

    def processes(self) -> list[int]:
        """Return the processes in the group and in those that were made below it."""
        if self.directory is None:
            return []
        found: list[int] = []
        for directory in self._tree(self.directory):
            try:
                found += [int(line) for line in (directory / "cgroup.procs").read_text().split()]
            except FileNotFoundError:
                continue
        return found

    def freeze(self, frozen: bool) -> bool:
        """Stop all processes of the group, or let them go on; return whether the machine can.

        Raises `Unavailable` if they do not stop, and lets them go on then.
        """
        if self.directory is None:
            return False
        self._set_frozen(frozen)
        end = time.monotonic() + _PATIENCE
        while not self._is(frozen):
            if time.monotonic() > end:
                self._set_frozen(False)
                raise Unavailable(f"a process of the control group {self.path} does not stop: it hangs in the kernel")
            time.sleep(0.001)
        return True

    def let_die(self) -> None:
        """Let those processes end that were killed while they were frozen: v1 keeps them until they are thawed."""
        if self.layout == "v1":
            self._set_frozen(False)

    def remove(self) -> None:
        """Kill what is in the group and take it away. Harmless if it does not exist."""
        if self.directory is not None:
            # The processes are found where a container cannot leave; when they are gone the others are empty.
            for directory in self._directories():
                self._remove(directory)

    def remove_if_empty(self) -> None:
        """Take the group away unless something is in it. Harmless if it does not exist."""
        for directory in self._directories():
            try:
                os.rmdir(directory)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY):
                    raise

    def _directories(self) -> list[Path]:
        """Return the group's directories, each once: first the one where its processes are found."""
        main = [] if self.directory is None else [self.directory]
        return list(dict.fromkeys([*main, *self.counting.values()]))

    def _enable_counting(self) -> None:
        """Have v2's controllers count what groups use: a parent says so for its children (cgroups(7))."""
        names = Path(self.path.lstrip("/")).parent.parts
        for depth in range(len(names) + 1):
            parent = self._root.joinpath(*names[:depth])
            enabled = (parent / "cgroup.subtree_control").read_text().split()
            for controller in _COUNTING_V2:
                if controller not in enabled:
                    try:
                        _write(parent / "cgroup.subtree_control", f"+{controller}")
                    except OSError:
                        # The kernel has it not, or v1 has it: then this is not counted, and `stats` shows zero.
                        continue

    def _set_frozen(self, frozen: bool) -> None:
        assert self.directory is not None
        if self.layout == "v1":
            _write(self.directory / "freezer.state", "FROZEN" if frozen else "THAWED")
        else:
            _write(self.directory / "cgroup.freeze", "1" if frozen else "0")

    def _is(self, frozen: bool) -> bool:
        assert self.directory is not None
        if self.layout == "v1":
            return (self.directory / "freezer.state").read_text().strip() == ("FROZEN" if frozen else "THAWED")
        return f"frozen {int(frozen)}\n" in (self.directory / "cgroup.events").read_text()

    def _remove(self, directory: Path) -> None:
        end = time.monotonic() + _PATIENCE
        pause = 0.0005
        while True:
            try:
                os.rmdir(directory)
                return
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.ENOTEMPTY) or time.monotonic() > end:
                    raise
            self._kill()
            for inner in reversed(self._tree(directory)[1:]):
                try:
                    os.rmdir(inner)
                except OSError:
                    # It is not empty yet.
                    continue
            time.sleep(pause)
            pause = min(pause * 2, 0.05)

    def _kill(self) -> None:
        assert self.directory is not None
        try:
            _write(self.directory / "cgroup.kill", "1")
            return
        except OSError:
            # Before Linux 5.14, and in v1: one by one. A frozen process dies when it is thawed.
            pass
        for process in self.processes():
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if self.layout == "v1" and self.directory.exists():
            self._set_frozen(False)

    @staticmethod
    def _tree(directory: Path) -> list[Path]:
        """Return a directory and those below it, each before what is in it."""
        return [Path(path) for path, _, _ in os.walk(directory)]


def _groups_of_this_process() -> Iterator[tuple[str, str]]:
    """Give v1's controllers with the path of this process's group in each (cgroups(7), /proc/[pid]/cgroup)."""
    with open("/proc/self/cgroup") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            yield from ((controller, path) for controller in controllers.split(","))


def _make(directory: Path) -> None:
    try:
        os.makedirs(directory, 0o755, exist_ok=True)
    except FileNotFoundError:
        # Another engine took the parent away just now (`remove_if_empty`).
        os.makedirs(directory, 0o755, exist_ok=True)


def _write(path: Path, text: str) -> None:
    """Write to a file of a control group, which must be there; opening it otherwise would be refused as a creation."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
