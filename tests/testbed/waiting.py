"""Waiting for what happens soon."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from testbed.clients import Clients

__all__ = ["has_ended", "wait_for", "wait_for_log"]


def has_ended(pid: int) -> bool:
    """Whether a process runs no more, also where its parent never asked for its end (a zombie)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] in "ZX"


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Return when a condition is true. Raises `AssertionError` if that takes too long, also on a busy machine."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def wait_for_log(engine: Clients, container: str, text: str) -> None:
    """Follow a container's log until it says something."""
    command = ["docker", "-H", engine.host, "logs", "-f", container]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=engine.environment()) as follower:
        assert follower.stdout is not None
        assert any(text in line for line in follower.stdout)
        follower.terminate()
