"""What a build tells its client: lines in the words of Docker's own builder, or steps for clients that draw."""

from __future__ import annotations

import codecs
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from transom.errors import Cancelled
from transom.job import Aux, Message, Output, Progress

if TYPE_CHECKING:
    from transom.job import Job

__all__ = ["USING_CACHE", "Reports", "Step"]

#: What Docker's own builder says of what was done before.
USING_CACHE = " ---> Using cache\n"

#: More output of one step than this, in characters, is not kept until its turn comes.
_MOST_KEPT = 2 << 20
#: What Docker's own builder puts around standard error.
_RED, _PLAIN = "\x1b[91m", "\x1b[0m"
_STANDARD_ERROR = 2


class Reports:
    """The reports of one build. Everything here is safe to call from many threads.

    `style` is "docker" or "steps". In Docker's words a step that runs beside an earlier one is told of after that. A
    `quiet` build tells of nothing but its result.
    """

    def __init__(self, job: Job, style: str, *, quiet: bool = False) -> None:
        self._job = job
        self._quiet = quiet
        self.draws = style == "steps"
        self._transcript = _Transcript(job.say if not self.draws and not quiet else lambda _: None)
        self._guard = threading.Lock()
        self._count = 0

    @contextmanager
    def step(self, name: str, number: int | None = None, title: str = "") -> Iterator[Step]:
        """Tell that a step begins, and at the end of the `with` block how it ended.

        `number` is its place among those that Docker's own builder tells of, from 0, and `title` what it calls it; of
        others it says nothing.
        """
        with self._guard:
            self._count += 1
            identity = f"sha256:{hashlib.sha256(f'{self._job.number} {self._count} {name}'.encode()).hexdigest()}"
        step = Step(self, identity, name, number)
        if title:
            step.say(f"{title}\n")
        step.begin()
        try:
            yield step
        except Cancelled:
            step.end("context canceled")
            raise
        except BaseException as error:
            step.end(str(error))
            raise
        step.end()
        if number is not None:
            self._transcript.finish(number)

    @property
    def reads(self) -> bool:
        """Whether the client reads lines, in which every step tells what has come of it."""
        return not self.draws and not self._quiet

    def finish(self) -> None:
        """Tell what waits for its turn, since there will be none."""
        self._transcript.close()

    def say(self, text: str) -> None:
        """Print text for clients that read lines."""
        if not self.draws and not self._quiet:
            self._job.say(text)

    def say_in_turn(self, number: int, text: str, *, last: bool = False) -> None:
        """Print text of a step that is none for those who draw; with `last` there is no more of it."""
        self._transcript.write(number, text)
        if last:
            self._transcript.finish(number)

    def result(self, identity: str) -> None:
        """Tell the image's ID, for clients that read lines as a line if nothing else is one."""
        self._job.tell(ID=identity)
        if self._quiet and not self.draws:
            self._job.say(f"{identity}\n")

    def tell(self, number: int | None, text: str) -> None:
        """Print text of a step in its turn. For `Step`."""
        if number is not None:
            self._transcript.write(number, text)

    def draw(self, kind: str, **values: object) -> None:
        """Tell something to a client that draws. For `Step`."""
        if self.draws and not self._quiet:
            self._job.tell(**{kind: {name: value for name, value in values.items() if value is not None}})

    def forward(self, message: Message) -> None:
        """Pass on a report of another job, for clients that read lines."""
        if not self.draws and not self._quiet:
            self._job.report(message)


class Step:
    """One step, as far as reports go."""

    def __init__(self, reports: Reports, identity: str, name: str, number: int | None) -> None:
        self._reports = reports
        self._id = identity
        self._name = name
        self._number = number
        self._started = time.time_ns()
        self._cached = False
        self._parts: dict[str, int] = {}
        self._decoders: dict[int, codecs.IncrementalDecoder] = {}

    def begin(self) -> None:
        """Tell that it has begun. For `Reports`."""
        self._draw()

    def rename(self, name: str) -> None:
        """Call it something else from now on."""
        self._name = name
        self._draw()

    def cached(self) -> None:
        """Tell that its result was there."""
        self._cached = True
        self._draw()
        self.say(USING_CACHE)

    def end(self, error: str = "") -> None:
        """Tell that it is done, or has failed. For `Reports`."""
        for stream in tuple(self._decoders):
            self._log(stream, b"", final=True)
        now = time.time_ns()
        self._reports.draw(
            "vertex",
            id=self._id,
            name=self._name,
            started=self._started,
            completed=now,
            cached=self._cached or None,
            error=error or None,
        )

    def say(self, text: str) -> None:
        """Print a line of Docker's own builder."""
        self._reports.tell(self._number, text)

    def log(self, stream: int, data: bytes) -> None:
        """Pass on what a process has written."""
        self._log(stream, data)

    def status(self, part: str, current: int | None = None, total: int | None = None, *, done: bool = False) -> None:
        """Tell how far one part of it is, in bytes."""
        now = time.time_ns()
        started = self._parts.setdefault(part, now)
        self._reports.draw(
            "vertex",
            id=self._id,
            status=part,
            current=current,
            total=total,
            started=started,
            completed=now if done else None,
        )

    def follow(self, message: Message) -> None:
        """Pass on what another job reports, whose work is this step's."""
        if not self._reports.draws:
            self._reports.forward(message)
        elif isinstance(message, Progress) and message.subject and message.current is not None:
            self.status(f"{message.status} {message.subject}", message.current, message.total)
        elif isinstance(message, Output | Aux):
            return

    def _draw(self) -> None:
        self._reports.draw(
            "vertex", id=self._id, name=self._name, started=self._started, cached=self._cached or None
        )  # fmt: skip

    def _log(self, stream: int, data: bytes, *, final: bool = False) -> None:
        decoder = self._decoders.get(stream)
        if decoder is None:
            decoder = self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(data, final)
        if text:
            self._reports.draw("vertex", id=self._id, log=text, stream=stream)
            self.say(f"{_RED}{text}{_PLAIN}" if stream == _STANDARD_ERROR else text)


class _Transcript:
    """Text of steps that are done in any order, written in the order of their numbers."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._turn = 0
        self._kept: dict[int, list[str]] = {}
        self._length: dict[int, int] = {}
        self._done: set[int] = set()

    def write(self, number: int, text: str) -> None:
        with self._lock:
            if number <= self._turn:
                self._write(text)
                return
            length = self._length.get(number, 0)
            if length < _MOST_KEPT:
                text = text[: _MOST_KEPT - length]
                if length + len(text) == _MOST_KEPT:
                    text += "\n[output clipped]\n"
                self._kept.setdefault(number, []).append(text)
                self._length[number] = length + len(text)

    def finish(self, number: int) -> None:
        with self._lock:
            self._done.add(number)
            while self._turn in self._done:
                self._turn += 1
                self._release(self._turn)

    def close(self) -> None:
        with self._lock:
            for number in sorted(self._kept):
                self._release(number)

    def _release(self, number: int) -> None:
        for text in self._kept.pop(number, ()):
            self._write(text)
