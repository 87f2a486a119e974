"""Waiting for what happens soon."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from testbed.clients import Clients

__all__ = ["wait_for", "wait_for_log"]


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
