"""What is due is done at its time, by one thread that is there only while something is due."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import pytest

from transom.containers.alarms import Alarms


@pytest.fixture
def rung() -> SimpleQueue[str]:
    return SimpleQueue()


@pytest.fixture
def threads() -> list[Any]:
    return []


@pytest.fixture
def alarms(rung: SimpleQueue[str], threads: list[Any]) -> Iterator[Alarms]:
    with ThreadPoolExecutor(4) as pool:

        def submit(work: Callable[[], None]) -> None:
            threads.append(pool.submit(work))

        alarms = Alarms(rung.put, submit)
        yield alarms
        alarms.close()


def test_what_is_due_earlier_rings_first(alarms: Alarms, rung: SimpleQueue[str]) -> None:
    alarms.set("later", 0.05)
    alarms.set("sooner", 0.0)
    assert [rung.get(timeout=10), rung.get(timeout=10)] == ["sooner", "later"]


def test_a_name_rings_once_at_the_time_that_was_set_last(alarms: Alarms, rung: SimpleQueue[str]) -> None:
    alarms.set("again", 1000)
    alarms.set("again", 0.0)
    alarms.set("last", 0.05)
    assert [rung.get(timeout=10), rung.get(timeout=10)] == ["again", "last"]


def test_what_is_cancelled_does_not_ring(alarms: Alarms, rung: SimpleQueue[str]) -> None:
    alarms.set("cancelled", 0.02)
    alarms.set("last", 0.05)
    alarms.cancel("cancelled")
    alarms.cancel("never set")
    assert rung.get(timeout=10) == "last"
    assert rung.empty()


def test_the_thread_goes_when_nothing_is_due_and_comes_again(
    alarms: Alarms, rung: SimpleQueue[str], threads: list[Any]
) -> None:
    for name in ("first", "second"):
        alarms.set(name, 0.0)
        assert rung.get(timeout=10) == name
        threads[-1].result(10)
    assert len(threads) == 2


def test_one_thread_waits_for_all(alarms: Alarms, threads: list[Any]) -> None:
    for number in range(100):
        alarms.set(str(number), 1000)
    assert len(threads) == 1


def test_nothing_rings_after_the_close(alarms: Alarms, rung: SimpleQueue[str], threads: list[Any]) -> None:
    alarms.set("due", 1000)
    alarms.close()
    threads[0].result(10)
    alarms.set("late", 0.0)
    assert rung.empty()
