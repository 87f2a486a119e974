"""A build on a terminal: its steps with their times, the last lines of those that run, drawn over again and again.

The picture is BuildKit's: `[+] Building 2.3s (5/7)`, ` => [2/4] RUN make    1.2s`, ` => => # output`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import IO

from transom_cli.build_progress import Display, Part, Vertex, seconds

__all__ = ["Tty"]

#: Lines of output that are shown of a step that runs.
_TAIL = 6
#: Control sequences of terminals (ECMA-48), and other control characters, that a step's output must not draw with.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.|[\x00-\x08\x0b-\x1f\x7f]")
_BLUE, _RED, _RESET = "\x1b[34m", "\x1b[31m", "\x1b[0m"
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"


class Tty(Display):
    """Draws the steps, and draws them again over the last picture."""

    def __init__(self, file: IO[str]) -> None:
        super().__init__(file)
        self._drawn = 0
        self._coloured = not os.environ.get("NO_COLOR")

    def on_log(self, vertex: Vertex, text: str, stream: int) -> None:
        del stream
        vertex.log(_CONTROL.sub("", text.replace("\r\n", "\n").replace("\t", "    ")))

    def tick(self) -> None:
        """Draw the steps as they are now."""
        self._draw(self._picture(ended=False), end=False)

    def close(self) -> None:
        """Draw them for the last time."""
        self._draw(self._picture(ended=True), end=True)

    def _picture(self, *, ended: bool) -> list[str]:
        """Return the lines of the picture, as many as the terminal has."""
        columns, rows = self._size()
        now = time.time_ns()
        begun = [vertex for vertex in self.vertices.values() if vertex.started or vertex.ended]
        done = sum(bool(vertex.completed) for vertex in begun)
        finished = " FINISHED" if ended and not any(vertex.error for vertex in begun) else ""
        head = f"[+] Building {seconds((now - self.began) / 1e9)} ({done}/{len(self.vertices)}){finished}"
        blocks = [(vertex, list(self._block(vertex, columns, now))) for vertex in begun]
        room = rows - 2
        if not ended:
            # The steps that ended first make room for those that run.
            for index, (vertex, _) in enumerate(blocks):
                if sum(len(lines) for _, lines in blocks) <= room:
                    break
                if vertex.ended:
                    blocks[index] = (vertex, [])
        lines = [line for _, block in blocks for line in block]
        return [head, *(lines if ended else lines[-room:])]

    def _block(self, vertex: Vertex, columns: int, now: int) -> Iterator[str]:
        """Yield the lines of one step."""
        mark = "ERROR " if vertex.error else "CACHED " if vertex.cached else ""
        colour = _RED if vertex.error else _BLUE if vertex.completed else ""
        yield self._line(f" => {mark}{vertex.name}", seconds(vertex.duration(now)), columns, colour)
        if vertex.completed and not vertex.error:
            return
        for name, part in vertex.parts.items():
            took = max((part.completed or now) - part.started, 0) / 1e9 if part.started else 0.0
            colour = _BLUE if part.completed else ""
            yield self._line(f" => => {part.text(name)}", seconds(took), columns, colour)
        tail = [*vertex.lines, vertex.rest] if vertex.rest else [*vertex.lines]
        for line in tail[-_TAIL:]:
            yield f" => => # {line}"[:columns]

    def _line(self, left: str, right: str, columns: int, colour: str) -> str:
        room = max(columns - len(right) - 1, 0)
        left = _CONTROL.sub("", left)
        text = f"{left[:room]:{room}} {right}" if room else left[:columns]
        return f"{colour}{text}{_RESET}" if colour and self._coloured else text

    def _draw(self, lines: list[str], *, end: bool) -> None:
        up = f"\x1b[{self._drawn}A" if self._drawn else _HIDE
        below = "\x1b[J" if self._drawn > len(lines) or end else ""
        body = "".join(f"\r{line}\x1b[K\n" for line in lines)
        self.file.write(f"{up}{body}{below}{_SHOW if end else ''}")
        self.file.flush()
        self._drawn = len(lines)

    def _size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self.file.fileno())
        except OSError:
            return 80, 24
        return size.columns or 80, size.lines or 24

    def on_part(self, vertex: Vertex, name: str, part: Part) -> None:
        """The next picture shows it."""
