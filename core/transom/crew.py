"""Work in parallel: tasks that wait for each other, done by as many threads as are free.

The thread that runs the crew works too. So the work gets done even if the engine's pool has no thread left,
because everything in it waits for crews of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any

from transom.errors import Cancelled
from transom.job import Job

__all__ = ["Crew", "Task"]

#: Seconds after which a worker without work looks whether the job was cancelled.
_TURN = 0.2


@dataclass(eq=False)
class Task:
    """One piece of work. It starts when all that it `needs` is done and its lane has room."""

    work: Callable[[], None]
    lane: str
    needs: tuple[Task, ...] = ()
    done: bool = False


class Crew:
    """Does the tasks of a job. When one fails the others are given up: `check` raises in them.

    `lanes` says how many tasks of each kind are worked on at the same time.
    """

    def __init__(self, job: Job, lanes: Mapping[str, int]) -> None:
        self._job = job
        self._room = dict(lanes)
        self._waiting: list[Task] = []
        self._failure: BaseException | None = None
        self._changed = threading.Condition()

    def check(self) -> None:
        """Raise `Cancelled` if the job was cancelled or another task has failed. Tasks call this often."""
        self._job.check()
        if self._failure is not None:
            raise Cancelled("given up because another part of the work failed")

    def add(self, work: Callable[[], None], lane: str, needs: tuple[Task, ...] = ()) -> Task:
        """Add a task that starts when the tasks that it needs are done. Earlier tasks go first."""
        task = Task(work, lane, needs)
        self._waiting.append(task)
        return task

    def run(self) -> None:
        """Do all tasks and return when they are done; or raise the first error when all have stopped."""
        hands = min(sum(self._room.values()), len(self._waiting))
        futures: list[Future[Any]] = [self._job.engine.submit(self._work) for _ in range(hands - 1)]
        try:
            self._work()
        finally:
            wait([future for future in futures if not future.cancel()])
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while (task := self._take()) is not None:
            failure: BaseException | None = None
            try:
                task.work()
            except BaseException as error:  # noqa: BLE001 `run` raises it, in the thread that waits for it
                failure = error
            with self._changed:
                self._room[task.lane] += 1
                task.done = failure is None
                self._failure = self._failure or failure
                self._changed.notify_all()

    def _take(self) -> Task | None:
        """Return the next task that can be worked on, waiting for one; None if there is no more."""
        with self._changed:
            while self._waiting and self._failure is None:
                for task in self._waiting:
                    if self._room[task.lane] and all(need.done for need in task.needs):
                        self._waiting.remove(task)
                        self._room[task.lane] -= 1
                        return task
                self._changed.wait(_TURN)
                if self._job.cancelled:
                    self._failure = self._failure or Cancelled(f"{self._job.name} was cancelled")
            return None
