"""How far a build is: its steps as the daemon tells of them, and the ways to show them that need no terminal.

Each message of the daemon's is a step (`vertex`) as far as it changed, text that a step wrote, or the state of a part
of it. The lines are those of BuildKit's plain display: `#5 [2/4] RUN make`, `#5 0.123 output`, `#5 DONE 0.3s`.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any

from transom_cli.units import decimal_size

__all__ = ["Display", "Part", "Plain", "RawJson", "Silent", "Vertex", "seconds", "split_problem"]

_SECOND = 1_000_000_000
#: Seconds between two looks at the clock.
_TICK = 0.1
#: Seconds without output after which another step's may come in between.
_PATIENCE = 1.0
#: Lines of a failed step that are shown again at the end.
_KEPT = 100


@dataclass
class Part:
    """One part of a step: bytes that are done and those of all, and when it began and ended."""

    current: int = 0
    total: int = 0
    started: int = 0
    completed: int = 0

    def text(self, name: str) -> str:
        """Return how far it is, as `name 1.05MB / 3.1MB`."""
        if self.total:
            return f"{name} {decimal_size(self.current)} / {decimal_size(self.total)}"
        return f"{name} {decimal_size(self.current)}" if self.current else name


@dataclass
class Vertex:
    """One step of a build. Times are in nanoseconds since the epoch, 0 for never."""

    id: str
    number: int
    name: str = ""
    started: int = 0
    completed: int = 0
    cached: bool = False
    error: str = ""
    parts: dict[str, Part] = field(default_factory=dict)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    #: A line that has not ended yet.
    rest: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return bool(self.completed or self.error)

    def update(self, message: Mapping[str, Any]) -> None:
        """Take over what a message says of the step."""
        self.name = str(message.get("name", self.name))
        self.started = int(message.get("started") or self.started)
        self.completed = int(message.get("completed") or self.completed)
        self.cached = bool(message.get("cached", self.cached))
        self.error = split_problem(str(message.get("error") or self.error))[0]

    def part(self, message: Mapping[str, Any]) -> tuple[str, Part]:
        """Take over what a message says of a part of the step, and return its name and the part."""
        name = str(message["status"])
        part = self.parts.setdefault(name, Part())
        for key in ("current", "total", "started", "completed"):
            setattr(part, key, int(message.get(key) or getattr(part, key)))
        return name, part

    def log(self, text: str) -> list[str]:
        """Take text that the step wrote, and return the lines that have ended with it."""
        *lines, self.rest = (self.rest + text).split("\n")
        return [self._keep(line) for line in lines]

    def _keep(self, line: str) -> str:
        # What a program draws over its own line is what is left of it.
        shown = line.rstrip("\r").rpartition("\r")[2]
        self.lines.append(shown)
        return shown

    def duration(self, now: int) -> float:
        """Return for how many seconds it has been running, or ran."""
        return max((self.completed or now) - self.started, 0) / _SECOND if self.started else 0.0


class Display:
    """What shows a build. Subclasses say how; the methods that do are called with the lock held."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file
        self.vertices: dict[str, Vertex] = {}
        self.began = time.time_ns()
        self._lock = threading.Lock()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the build for the block."""
        stopped = threading.Event()

        def look() -> None:
            while not stopped.wait(_TICK):
                with self._lock:
                    self.tick()

        clock = threading.Thread(target=look, daemon=True)
        clock.start()
        try:
            yield
        finally:
            stopped.set()
            clock.join()
            with self._lock:
                self.close()

    def take(self, message: Mapping[str, Any]) -> None:
        """Take one message about a step."""
        with self._lock:
            identity = str(message["id"])
            vertex = self.vertices.get(identity)
            if vertex is None:
                vertex = self.vertices[identity] = Vertex(identity, len(self.vertices) + 1)
            if "log" in message:
                self.on_log(vertex, str(message["log"]), int(message.get("stream") or 1))
            elif "status" in message:
                self.on_part(vertex, *vertex.part(message))
            else:
                vertex.update(message)
                self.on_vertex(vertex)

    def failed(self) -> list[Vertex]:
        """Return the steps that have failed and wrote something."""
        return [vertex for vertex in self.vertices.values() if vertex.error and (vertex.lines or vertex.rest)]

    # What subclasses do

    def on_vertex(self, vertex: Vertex) -> None:
        """Something about a step has changed."""

    def on_log(self, vertex: Vertex, text: str, stream: int) -> None:  # noqa: ARG002
        """A step wrote text."""
        vertex.log(text)

    def on_part(self, vertex: Vertex, name: str, part: Part) -> None:
        """A part of a step has changed."""

    def tick(self) -> None:
        """Some time has passed."""

    def close(self) -> None:
        """Nothing more comes."""


class Silent(Display):
    """Shows nothing, but knows what failed."""


class RawJson(Display):
    """Shows each message as a line of JSON with the fields of BuildKit's `SolveStatus`."""

    def on_vertex(self, vertex: Vertex) -> None:
        times = {key: _moment(getattr(vertex, key)) for key in ("started", "completed") if getattr(vertex, key)}
        shown: dict[str, Any] = {"digest": vertex.id, "name": vertex.name, **times}
        if vertex.cached:
            shown["cached"] = True
        if vertex.error:
            shown["error"] = vertex.error
        self._write("vertexes", shown)

    def on_log(self, vertex: Vertex, text: str, stream: int) -> None:
        vertex.log(text)
        data = base64.b64encode(text.encode()).decode()
        self._write("logs", {"vertex": vertex.id, "stream": stream, "data": data, "timestamp": _moment(time.time_ns())})

    def on_part(self, vertex: Vertex, name: str, part: Part) -> None:
        times = {key: _moment(getattr(part, key)) for key in ("started", "completed") if getattr(part, key)}
        shown = {"id": name, "vertex": vertex.id, "name": name, "current": part.current}
        if part.total:
            shown["total"] = part.total
        self._write("statuses", {**shown, "timestamp": _moment(time.time_ns()), **times})

    def _write(self, kind: str, value: Mapping[str, Any]) -> None:
        print(json.dumps({kind: [value]}, separators=(",", ":")), file=self.file, flush=True)


class Plain(Display):
    """Shows lines, each with the number of its step, of one step after another as far as that goes."""

    def __init__(self, file: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(file)
        self._clock = clock
        #: Lines that wait, by the step that they are of, the first to come first.
        self._waiting: dict[str, list[str]] = {}
        self._current: Vertex | None = None
        self._heard = 0.0
        self._begun: set[str] = set()

    def on_vertex(self, vertex: Vertex) -> None:
        if vertex.started or vertex.ended:
            self._waiting.setdefault(vertex.id, [])
        if vertex.ended and vertex.id not in self._begun:
            self._begun.add(vertex.id)
            self._add(vertex, [vertex.rest] if vertex.rest else [])
            self._add(vertex, [self._end_of(vertex)], timed=False)
        self._flush()

    def on_log(self, vertex: Vertex, text: str, stream: int) -> None:
        del stream
        self._add(vertex, vertex.log(text))
        self._flush()

    def on_part(self, vertex: Vertex, name: str, part: Part) -> None:
        if part.completed:
            took = (part.completed - part.started) / _SECOND if part.started else 0.0
            shown = f"{part.text(name)} {took:.1f}s done" if took >= 0.05 else f"{part.text(name)} done"
            self._add(vertex, [shown], timed=False)
            self._flush()

    def tick(self) -> None:
        if self._current is not None and self._waiting and self._clock() - self._heard > _PATIENCE:
            self._leave()
            self._flush()

    def close(self) -> None:
        while self._waiting:
            self._leave()
            self._flush()

    def _add(self, vertex: Vertex, lines: list[str], *, timed: bool = True) -> None:
        prefix = f"#{vertex.number} {vertex.duration(time.time_ns()):.3f} " if timed else f"#{vertex.number} "
        self._waiting.setdefault(vertex.id, []).extend(f"{prefix}{line}".rstrip() for line in lines)

    def _end_of(self, vertex: Vertex) -> str:
        if vertex.error:
            return f"ERROR: {vertex.error}"
        return "CACHED" if vertex.cached else f"DONE {seconds(vertex.duration(vertex.completed))}"

    def _flush(self) -> None:
        """Print what waits of the current step; when that has ended, the next one's."""
        while self._waiting:
            if self._current is None:
                self._current = self.vertices[next(iter(self._waiting))]
                self._print(f"#{self._current.number} {self._current.name}")
            lines = self._waiting.pop(self._current.id, None)
            if lines is None:
                return
            for line in lines:
                self._print(line)
            self._heard = self._clock()
            if self._current.ended:
                self._print("")
                self._current = None

    def _leave(self) -> None:
        """Leave a step that goes on, for others."""
        if self._current is not None:
            self._print(f"#{self._current.number} ...\n")
            self._current = None

    def _print(self, line: str) -> None:
        print(line, file=self.file, flush=True)


def split_problem(text: str) -> tuple[str, list[str]]:
    """Return an error in one line, and the lines of the Dockerfile that it is about, as the daemon shows them.

    Such an error is `PLACE: problem`, and behind that PLACE alone and the lines between two rules.
    """
    first, *rest = text.splitlines() or [""]
    if len(rest) > 1 and rest[1].startswith("----") and first.startswith(f"{rest[0]}: "):
        return first.removeprefix(f"{rest[0]}: "), rest
    return text, []


def seconds(duration: float) -> str:
    """Return a duration as the displays show it."""
    return f"{duration:.1f}s"


def _moment(nanoseconds: int) -> str:
    whole, rest = divmod(nanoseconds, _SECOND)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
