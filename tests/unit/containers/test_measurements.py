"""Watching what containers use: one measurement each for all who watch."""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from transom.containers import measurements
from transom.containers.measurements import Measurement, Measurements
from transom.drivers.exec import Counters, IoCounter
from transom.errors import Conflict, Unavailable

COUNTERS = Counters(cpu=5, memory=4096, memory_details={"cache": 1}, io=(IoCounter(8, 0, "read", 1, 2),))


class FakeShims:
    """Shims that answer at once, count how often they were asked, and know which containers run."""

    def __init__(self) -> None:
        self.running = {"one", "two"}
        self.asked: list[str] = []
        self.answer: dict[str, Any] = {"counters": dataclasses.asdict(COUNTERS), "network": {"eth0": {"rx_bytes": 7}}}

    def ask(self, container: str, op: str) -> Future[dict[str, Any]]:
        assert op == "stats"
        self.asked.append(container)
        if container not in self.running:
            raise Conflict("not running")
        answer: Future[dict[str, Any]] = Future()
        answer.set_result(self.answer)
        return answer


@pytest.fixture
def shims(monkeypatch: pytest.MonkeyPatch) -> FakeShims:
    monkeypatch.setattr(measurements, "_INTERVAL", 0.01)
    monkeypatch.setattr(measurements, "_PATIENCE", 0.05)
    return FakeShims()


@pytest.fixture
def known() -> set[str]:
    return {"one", "two", "stopped"}


@pytest.fixture
def measuring(shims: FakeShims, known: set[str]) -> Iterator[Measurements]:
    threads: list[threading.Thread] = []

    def submit(work: Callable[[], None]) -> Future[None]:
        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return Future()

    made = Measurements(shims, known.__contains__, submit)  # type: ignore[arg-type]
    made.threads = threads  # type: ignore[attr-defined]
    yield made
    made.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_measurement_has_what_the_shim_counted_and_what_the_machine_has(measuring: Measurements) -> None:
    found = measuring.measure("one")
    assert found.counters == COUNTERS
    assert found.network == {"eth0": {"rx_bytes": 7}}
    assert min(found.time, found.machine_cpu, found.processors, found.machine_memory) > 0


def test_a_container_that_does_not_run_cannot_be_measured(measuring: Measurements) -> None:
    with pytest.raises(Conflict):
        measuring.measure("stopped")


def test_a_shim_that_does_not_answer_is_not_waited_for(measuring: Measurements, shims: FakeShims) -> None:
    shims.ask = lambda container, op: Future()  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="does not answer"):
        measuring.measure("one")


def test_all_watchers_of_a_container_share_each_measurement(measuring: Measurements, shims: FakeShims) -> None:
    told: list[queue.Queue[Measurement | None]] = [queue.Queue() for _ in range(50)]
    watches = [measuring.watch("one", each.put) for each in told]
    together = {id(each.get(timeout=10)) for each in told[1:]}
    assert len(together) <= 2
    assert len(measuring.threads) == 1  # type: ignore[attr-defined]
    for watch in watches:
        measuring.end(watch)
    assert len(shims.asked) < 50


def test_measuring_ends_with_the_last_watcher_and_begins_again(measuring: Measurements) -> None:
    for _ in range(2):
        told: queue.Queue[Measurement | None] = queue.Queue()
        watch = measuring.watch("one", told.put)
        assert told.get(timeout=10) is not None
        measuring.end(watch)
        measuring.end(watch)
        for thread in measuring.threads:  # type: ignore[attr-defined]
            thread.join(10)
            assert not thread.is_alive()


def test_a_stopped_container_is_nothing_and_one_that_is_gone_the_end(
    measuring: Measurements, shims: FakeShims, known: set[str]
) -> None:
    told: queue.Queue[Measurement | None] = queue.Queue()
    measuring.watch("stopped", told.put)
    assert told.get(timeout=10) == Measurement()
    known.remove("stopped")
    while (last := told.get(timeout=10)) is not None:
        assert last == Measurement()
    del shims


def test_a_container_that_cannot_be_measured_does_not_keep_others_from_it(
    measuring: Measurements, shims: FakeShims
) -> None:
    working = shims.ask
    shims.ask = lambda container, op: Future() if container == "two" else working(container, op)  # type: ignore
    told: queue.Queue[Measurement | None] = queue.Queue()
    measuring.watch("two", lambda _: None)
    measuring.watch("one", told.put)
    for _ in range(3):
        measured = told.get(timeout=10)
        assert measured is not None
        assert measured.counters == COUNTERS
