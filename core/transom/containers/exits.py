"""How containers ended: what their shims left, and what is said of an end that nobody saw."""

from __future__ import annotations

import json
import time
from pathlib import Path

from transom.runtime.channel import Message

__all__ = ["read_exit", "unseen"]

#: The exit code of a container whose end nobody saw: the machine stopped, or its shim was killed.
_UNSEEN = 255


def read_exit(directory: Path) -> Message | None:
    """Return the exit status that a shim left in its directory, or None."""
    try:
        status: Message = json.loads((directory / "exit").read_bytes())
    except FileNotFoundError:
        return None
    return status


def unseen() -> Message:
    """Return the status of an end that nobody saw."""
    return {"exit_code": _UNSEEN, "finished": time.time_ns()}
