"""A container's control group: where its processes are counted, frozen and killed together.

Three layouts are in use (cgroups(7)): v2 alone at /sys/fs/cgroup, v1 hierarchies alone, and hybrid, v1 hierarchies with
a v2 one at /sys/fs/cgroup/unified. The v2 hierarchy is used wherever there is one, since it kills and freezes without
races and a process can be born in it; v1's freezer serves where there is none.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

__all__ = ["Cgroup", "layout"]

_ROOT = Path("/sys/fs/cgroup")
#: How long a killed group may take to become empty, in seconds.
_PATIENCE = 10.0


def layout() -> str:
    """Return which layout this machine has: "v2", "hybrid", "v1" or "none"."""
    if (_ROOT / "cgroup.procs").exists():
        return "v2"
    if (_ROOT / "unified" / "cgroup.procs").exists():
        return "hybrid"
    return "v1" if (_ROOT / "freezer").is_dir() else "none"


class Cgroup:
    """One control group, by its path below each hierarchy's root (`/transom/<container>`)."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._layout = layout()
        hierarchy = {"v2": _ROOT, "hybrid": _ROOT / "unified", "v1": _ROOT / "freezer"}.get(self._layout)
        self.directory = None if hierarchy is None else hierarchy / path.lstrip("/")

    def create(self) -> int | None:
        """Make the group, and return a descriptor of it in which a process can be born, or None without cgroup v2.

        The descriptor is the caller's to close.
        """
        if self.directory is None:
            return None
        try:
            os.makedirs(self.directory, 0o755, exist_ok=True)
        except FileNotFoundError:
            # Another engine took the parent away just now (`remove_if_empty`).
            os.makedirs(self.directory, 0o755, exist_ok=True)
        if self._layout == "v1":
            return None
        return os.open(self.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def open(self) -> int | None:
        """Return a descriptor of an existing group in which a process can be born, or None without cgroup v2."""
        if self.directory is None or self._layout == "v1":
            return None
        return os.open(self.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def join(self) -> None:
        """Move the calling process into the group; for v1, where it cannot be born there."""
        if self.directory is not None and self._layout == "v1":
            (self.directory / "cgroup.procs").write_text("0")

    def processes(self) -> list[int]:
        """Return the processes in the group."""
        if self.directory is None:
            return []
        try:
            return [int(line) for line in (self.directory / "cgroup.procs").read_text().split()]
        except FileNotFoundError:
            return []

    def freeze(self, frozen: bool) -> bool:
        """Stop all processes of the group, or let them go on; return whether the machine can."""
        if self.directory is None:
            return False
        if self._layout == "v1":
            (self.directory / "freezer.state").write_text("FROZEN" if frozen else "THAWED")
            return True
        (self.directory / "cgroup.freeze").write_text("1" if frozen else "0")
        wanted = f"frozen {int(frozen)}"
        end = time.monotonic() + _PATIENCE
        while wanted not in (self.directory / "cgroup.events").read_text() and time.monotonic() < end:
            time.sleep(0.001)
        return True

    def remove(self) -> None:
        """Kill what is in the group and take it away. Harmless if it does not exist."""
        if self.directory is None:
            return
        end = time.monotonic() + _PATIENCE
        pause = 0.0005
        while True:
            try:
                os.rmdir(self.directory)
                return
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > end:
                    raise
            self._kill()
            time.sleep(pause)
            pause = min(pause * 2, 0.05)

    def remove_if_empty(self) -> None:
        """Take the group away unless something is in it. Harmless if it does not exist."""
        if self.directory is not None:
            try:
                os.rmdir(self.directory)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY):
                    raise

    def _kill(self) -> None:
        assert self.directory is not None
        try:
            (self.directory / "cgroup.kill").write_text("1")
            return
        except OSError:
            # Before Linux 5.14, and in v1: one by one. A frozen process dies when it is thawed.
            pass
        for process in self.processes():
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if self._layout == "v1":
            self.freeze(False)
