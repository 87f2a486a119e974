"""Progress as the JSON stream that Docker's clients draw bars from (moby, pkg/jsonmessage)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transom.job import Aux, Output, Progress
from transom_api.streams import json_line

if TYPE_CHECKING:
    from transom.job import Message

__all__ = ["bar", "error_line", "message_line"]

_BAR_WIDTH = 50
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def message_line(message: Message) -> bytes:
    """Return one line of what a job reports."""
    match message:
        case Progress():
            return _progress_line(message)
        case Output():
            return json_line({"stream": message.text})
        case Aux():
            return json_line({"aux": message.value})


def _progress_line(progress: Progress) -> bytes:
    """Return a line of progress.

    A subject that is no layer ("latest: Pulling from …") has no bar, and so no `progressDetail`.
    """
    line: dict[str, Any] = {"status": progress.status}
    if progress.current is not None:
        detail = {"current": progress.current}
        if progress.total:
            detail["total"] = progress.total
        line["progressDetail"] = detail
        line["progress"] = bar(progress.current, progress.total or 0)
    elif progress.subject and not progress.status.startswith("Pulling from "):
        line["progressDetail"] = {}
    if progress.subject:
        line["id"] = progress.subject
    return json_line(line)


def error_line(message: str, code: int = 0) -> bytes:
    """Return the line that says that the work has failed, with the exit code of the process that did, if one did."""
    detail: dict[str, Any] = {"message": message}
    return json_line({"errorDetail": {"code": code, **detail} if code else detail, "error": message})


def bar(current: int, total: int) -> str:
    """Return the bar of bytes done of all, which old clients show as it is."""
    done = _size(current)
    if total <= 0:
        return f"{done:>8}" if current > 0 else ""
    filled = min(current * 100 // total // 2, _BAR_WIDTH)
    numbers = f"{done:>8}/{_size(total)}" if current <= total else f"{done:>8}"
    return f"[{'=' * filled}>{' ' * (_BAR_WIDTH - filled)}] {numbers}"


def _size(count: int) -> str:
    """Return a number of bytes with four digits and a decimal unit."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value /= 1000
        unit += 1
    return f"{value:.4g}{_UNITS[unit]}"
