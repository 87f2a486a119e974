"""The processes that serve mounts of the graph driver `fuse`."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

__all__ = ["kill_server", "server_of"]


def server_of(mounts: Path, layer: str) -> int:
    """Return the process that serves a layer, which holds its pipe to be written to."""
    pipe = os.fsencode(mounts / ".servers" / f"{layer}.pipe")
    for process in Path("/proc").iterdir():
        try:
            if not process.name.isdecimal() or (process / "comm").read_text() != "transom-fuse\n":
                continue
            if any(os.readlink(os.fsencode(link)) == pipe for link in (process / "fd").iterdir()):  # noqa: PTH115
                return int(process.name)
        except (FileNotFoundError, ProcessLookupError):
            continue
    raise LookupError(f"nobody serves {layer}")


def kill_server(mounts: Path, layer: str) -> None:
    """Kill the process that serves a layer, and wait until it is gone."""
    server = server_of(mounts, layer)
    descriptor = os.pidfd_open(server)
    try:
        os.kill(server, signal.SIGKILL)
        # A process that has ended can be read from (pidfd_open(2)).
        select.select([descriptor], [], [], 20)
    finally:
        os.close(descriptor)
