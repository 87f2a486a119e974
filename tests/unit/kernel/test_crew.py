"""Tasks that need each other, done by the threads that are there."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import pytest

from transom.crew import Crew, Task
from transom.errors import Cancelled, CorruptContent
from transom.job import Job


class Pool:
    """An engine as far as a crew knows it, with a pool of so many threads."""

    def __init__(self, threads: int) -> None:
        self.pool = ThreadPoolExecutor(threads)

    def submit(self, work: Any) -> Future[Any]:
        return self.pool.submit(work)


def crew(threads: int = 4, **lanes: int) -> Crew:
    return Crew(Job(cast("Any", Pool(threads)), "test", {}), lanes or {"work": 3})


def test_a_task_starts_after_those_that_it_needs() -> None:
    order: list[int] = []
    team = crew()
    below: tuple[Task, ...] = ()
    for number in range(20):
        below = (team.add(lambda number=number: order.append(number), "work", below),)  # type: ignore[misc]
    team.run()
    assert order == list(range(20))


def test_a_lane_is_never_overfull() -> None:
    working, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        threading.Event().wait(0.01)
        with lock:
            working -= 1

    team = crew(narrow=2, wide=8)
    for _ in range(10):
        team.add(work, "narrow")
    team.run()
    assert most == 2


def test_the_work_gets_done_when_the_pool_has_no_thread_left() -> None:
    engine = Pool(1)
    release = threading.Event()
    engine.submit(release.wait)
    team = Crew(Job(cast("Any", engine), "test", {}), {"work": 3})
    done: list[int] = []
    for number in range(5):
        team.add(lambda number=number: done.append(number), "work")  # type: ignore[misc]
    team.run()
    release.set()
    assert done == list(range(5))


def test_an_error_stops_the_other_tasks_and_is_raised() -> None:
    team = crew()
    stopped: list[str] = []

    def fail() -> None:
        raise CorruptContent("broken")

    def go_on() -> None:
        try:
            while True:
                team.check()
        except Cancelled as error:
            stopped.append(str(error))
            raise

    team.add(go_on, "work")
    team.add(fail, "work")
    after = team.add(lambda: stopped.append("never"), "work", (team.add(fail, "work"),))
    with pytest.raises(CorruptContent, match="broken"):
        team.run()
    assert not after.done
    assert stopped == ["given up because another part of the work failed"]


def test_a_cancelled_job_ends_a_crew_that_waits() -> None:
    job = Job(cast("Any", Pool(4)), "test", {})
    team = Crew(job, {"work": 3})

    def work() -> None:
        job.cancel()
        while True:
            team.check()

    first = team.add(work, "work")
    team.add(lambda: None, "work", (first,))
    with pytest.raises(Cancelled):
        team.run()
