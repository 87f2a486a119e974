"""A job: a named unit of work. Everything that a client can ask of the engine is one.

The life of a job: an edge (the API, a test, a plugin) creates it by name with parameters; `Job.run` hands it
to the hook `transom_call_job`, whose innermost implementation calls the handler that a plugin registered
under that name; while it runs it reports progress; it ends with a result or an error.
"""

from __future__ import annotations

import enum
import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from transom.errors import Cancelled

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["Aux", "Handler", "HandlerName", "Job", "Message", "Output", "Progress", "Status"]

#: A job's handler: called as `handler(engine, job, **parameters)`; what it returns is the job's result.
Handler = Callable[..., Any]

#: Where a handler is, as entry points have it: `module:function`. It is imported when the job is first asked for.
HandlerName = str

_numbers = itertools.count(1)


class Status(enum.Enum):
    """Where a job is in its life."""

    CREATED = "created"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of progress, with the meaning that Docker's JSON message stream gives it.

    `subject` is what the line is about (a short layer ID, a tag; empty for the whole job). `current` and
    `total` are bytes, or None where there is nothing to count.
    """

    status: str
    subject: str = ""
    current: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """Text that a job prints, whole lines or parts of them, for the client to show as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Aux:
    """A result that a program may want to read while people read the progress: a digest that was pushed, an image's ID.

    `value` becomes JSON as it is, with the names that Docker gives its fields.
    """

    value: Mapping[str, Any]


#: What a job reports while it works.
Message = Progress | Output | Aux


@dataclass(eq=False)
class Job:
    """One unit of work: its name, parameters, streams, status, and at the end its result or error.

    `input` is a binary stream that the client sends (a tar, say), or None. `report` is called with each
    `Message` from whatever thread works on the job, so it must be quick and thread-safe.
    """

    engine: Engine
    name: str
    parameters: Mapping[str, Any]
    input: IO[bytes] | None = None
    report: Callable[[Message], None] = lambda _: None
    status: Status = Status.CREATED
    result: Any = None
    error: BaseException | None = None
    number: int = field(default_factory=lambda: next(_numbers))
    _cancelled: threading.Event = field(default_factory=threading.Event, repr=False)

    def run(self) -> Any:
        """Do the work in this thread and return the result; an error is kept in `error` and raised."""
        if self.status is not Status.CREATED:
            raise RuntimeError(f"job {self.name} {self.number} was run before")
        self.status = Status.RUNNING
        try:
            self.result = self.engine.call(self)
        except BaseException as error:
            self.error = error
            self.status = Status.FAILED
            raise
        self.status = Status.DONE
        return self.result

    def child(self, name: str, report: Callable[[Message], None] = lambda _: None, **parameters: Any) -> Job:
        """Make a job that is a part of this one's work, and is cancelled with it. Raises as `Engine.job` does."""
        job = self.engine.job(name, report=report, **parameters)
        job._cancelled = self._cancelled
        return job

    def progress(self, status: str, subject: str = "", *, current: int | None = None, total: int | None = None) -> None:
        """Report progress to whoever asked for the job."""
        self.report(Progress(status, subject, current, total))

    def say(self, text: str) -> None:
        """Print text to whoever asked for the job."""
        self.report(Output(text))

    def tell(self, **value: Any) -> None:
        """Give a result ahead of the end to whoever asked for the job, by the names of Docker's fields."""
        self.report(Aux(value))

    def cancel(self) -> None:
        """Ask the job to end early. Work that several jobs share goes on for the others."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def check(self) -> None:
        """Raise `Cancelled` if the job was asked to end. Long work calls this between its steps."""
        if self._cancelled.is_set():
            raise Cancelled(f"{self.name} was cancelled")

    def wait_cancelled(self, seconds: float) -> bool:
        """Sleep, but no longer than until the job is cancelled; return whether it was."""
        return self._cancelled.wait(seconds)
