"""How many descriptors the daemon may have open: as many as it is allowed to, since each client and each log that is
followed needs some. What it starts has the limit that it was started with itself, as programs expect."""

from __future__ import annotations

import resource

__all__ = ["raise_descriptor_limit", "restore_descriptor_limit"]

_AT_START = resource.getrlimit(resource.RLIMIT_NOFILE)


def raise_descriptor_limit() -> None:
    """Raise this process's soft limit to the hard one."""
    _, hard = _AT_START
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def restore_descriptor_limit(process: int) -> None:
    """Give a child the limit that this process was started with."""
    resource.prlimit(process, resource.RLIMIT_NOFILE, _AT_START)
