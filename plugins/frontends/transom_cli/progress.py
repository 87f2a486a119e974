"""The progress of a pull, a push, a load: as lines, or on a terminal as a bar for each layer.

A message has an `id` (of a layer), a `status`, a `progressDetail` with `current` and `total` bytes; or a `stream`, text
to be shown as it is; or an `aux`, a result for programs; or an `errorDetail` (Docker Engine API, "create an image").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import IO, Any

from transom_cli.errors import CommandFailed
from transom_cli.transport import Response
from transom_cli.units import decimal_size

__all__ = ["Lines", "show", "show_on_terminal"]

_BAR = 50


def show(
    response: Response,
    target: IO[str],
    *,
    quiet: bool = False,
    on_aux: Callable[[dict[str, Any]], None] = lambda _: None,
) -> None:
    """Show the progress that an answer carries, unless `quiet`, and close its connection.

    `on_aux` is called with each result for programs. Raises `CommandFailed` for the error that the answer ends with.
    """

    def shown() -> Iterator[dict[str, Any]]:
        for message in map(json.loads, response.lines()):
            if "aux" in message:
                on_aux(message["aux"])
            else:
                yield message

    if not quiet and target.isatty():
        problem = show_on_terminal(shown(), target)
    else:
        problem = Lines(None if quiet else target).show(shown())
    response.connection.close()
    if problem:
        raise CommandFailed(problem)


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
            if self._file is None or _bar(message):
                continue
            end = "" if "stream" in message else "\n"
            print(message.get("stream") or _line(message), file=self._file, end=end, flush=True)
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
            if "stream" in message:
                live.stop()
                console.print(message["stream"], end="", markup=False)
            elif "progressDetail" in message or identity in layers:
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
