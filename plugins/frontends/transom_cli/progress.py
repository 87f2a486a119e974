"""The progress of a pull: as lines, or on a terminal as a bar for each layer.

A message has an `id` (of a layer), a `status`, a `progressDetail` with `current` and `total` bytes, or an
`errorDetail` (Docker Engine API, "create an image").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from transom_cli.units import decimal_size

__all__ = ["Lines", "show_on_terminal"]

_BAR = 50


class Lines:
    """Shows messages as lines of a file, those with numbers left out; shows nothing if there is no file."""

    def __init__(self, file: IO[str] | None) -> None:
        self._file = file

    def show(self, messages: Iterator[dict[str, Any]]) -> str:
        """Show all messages. Returns the error that one carries, which is the last, or an empty string."""
        for message in messages:
            problem = _problem(message)
            if problem:
                return problem
            if self._file is not None and not _bar(message):
                print(_line(message), file=self._file, flush=True)
        return ""


def show_on_terminal(messages: Iterator[dict[str, Any]], file: IO[str]) -> str:
    """Show messages on a terminal, each layer on a line that changes. Returns the error, or nothing."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    layers: dict[str, str] = {}
    console = Console(file=file, highlight=False)

    def drawn() -> Text:
        return Text("\n".join(layers.values()), no_wrap=True, overflow="ellipsis")

    live = Live(console=console, get_renderable=drawn, refresh_per_second=10)
    try:
        for message in messages:
            problem = _problem(message)
            if problem:
                return problem
            identity = message.get("id", "")
            if "progressDetail" in message or identity in layers:
                layers[identity] = f"{_line(message)} {_bar(message)}".rstrip()
                live.start()
            else:
                # Nothing is drawn under the lines before the first layer and after the last.
                if not identity:
                    live.stop()
                console.print(_line(message), markup=False)
    finally:
        live.stop()
    return ""


def _problem(message: dict[str, Any]) -> str:
    detail = message.get("errorDetail") or {}
    return str(detail.get("message") or message.get("error") or "")


def _line(message: dict[str, Any]) -> str:
    identity = f"{message['id']}: " if message.get("id") else ""
    return f"{identity}{message.get('status', '')}"


def _bar(message: dict[str, Any]) -> str:
    """Return how far a layer is, as a bar and numbers, or an empty string if the message does not say."""
    detail = message.get("progressDetail") or {}
    current, total = detail.get("current", 0), detail.get("total", 0)
    if current <= 0 and total <= 0:
        return ""
    if total <= 0:
        return decimal_size(current)
    filled = min(_BAR, current * _BAR // total)
    arrow = ">" if filled < _BAR else ""
    bar = f"[{'=' * filled}{arrow}{' ' * (_BAR - filled - len(arrow))}]"
    return f"{bar}  {decimal_size(current)}/{decimal_size(total)}"
