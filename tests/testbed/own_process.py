"""What a file of tests may not leave changed in the process that plays it, which plays others after it."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path

__all__ = ["State"]

_PR_GET_CHILD_SUBREAPER = 37

#: Lines of /proc/self/status (proc_pid_status(5)).
_STATUS = (
    "Umask", "Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "CapEff", "CapBnd", "SigBlk", "SigIgn", "Cpus_allowed",
)  # fmt: skip

#: The engines' threads end soon after what they served.
_PATIENCE = 10.0


class State:
    """What there is to keep, at the time when it was made."""

    def __init__(self) -> None:
        self._things = _things()
        self._threads = _threads()

    def changes(self) -> list[str]:
        """Return what is otherwise now, one line per thing. Threads may take a moment to end."""
        end = time.monotonic() + _PATIENCE
        while _threads() - self._threads and time.monotonic() < end:
            # A pool that nobody has any more ends its threads.
            gc.collect()
            time.sleep(0.1)
        before, now = self._things, _things()
        return [
            f"{name}: {before.get(name)} became {now.get(name)}"
            for name in sorted({*before, *now})
            if before.get(name) != now.get(name)
        ] + [f"the thread {thread.name} goes on" for thread in _threads() - self._threads]


def _things() -> Mapping[str, object]:
    """Return each thing by a name that a reader understands."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    namespaces = {f"namespace {link.name}": str(link.readlink()) for link in Path("/proc/self/ns").iterdir()}
    limits = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")}
    # The limit of a test's time has the alarm.
    handlers = {number.name: signal.getsignal(number) for number in signal.Signals if number != signal.SIGALRM}
    variables = {f"${name}": value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return {
        **{name: status[name].strip() for name in _STATUS},
        **namespaces,
        **limits,
        **handlers,
        **variables,
        "child subreaper": _is_child_subreaper(),
        "directory": str(Path.cwd()),
        "control groups": Path("/proc/self/cgroup").read_text(),
    }


def _threads() -> set[threading.Thread]:
    """Return the threads that would hold up the end of the process."""
    return {thread for thread in threading.enumerate() if not thread.daemon}


def _is_child_subreaper() -> bool:
    found = ctypes.c_int()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(found))
    return bool(found.value)
