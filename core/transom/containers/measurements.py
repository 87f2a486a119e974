"""What running containers use, measured once a second for all who watch."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import Any

from transom import records
from transom.drivers.exec import Counters
from transom.errors import Conflict, NotFound, TransomError, Unavailable
from transom.runtime.channel import Message
from transom.runtime.shims import Shims, checked

__all__ = ["Measurement", "Measurements", "Watch", "Watcher"]

log = logging.getLogger(__name__)

#: Seconds from one measurement to the next, and that a shim may take to answer one.
_INTERVAL = 1.0
_PATIENCE = 5.0


@dataclass(frozen=True)
class Measurement:
    """What a container had used at a time (nanoseconds since the epoch).

    `machine_cpu` is the time that all processors of the machine had spent by then, in nanoseconds, `processors` how
    many there are, `machine_memory` the bytes of memory. `network` has counters by interface, in Docker's names. All
    is empty if the container did not run.
    """

    time: int = 0
    counters: Counters | None = None
    machine_cpu: int = 0
    processors: int = 0
    machine_memory: int = 0
    network: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


#: Called with each measurement, and with None when the container is gone. It must not block.
Watcher = Callable[[Measurement | None], None]


@dataclass(eq=False)
class Watch:
    """One watcher of one container, by the container's ID."""

    container: str
    watcher: Watcher


class Measurements:
    """The watchers of one engine. While there are any, one thread of the engine's pool measures for all of them.

    `exists` says whether there is a container of an ID, `submit` does work in a thread.
    """

    def __init__(
        self, shims: Shims, exists: Callable[[str], bool], submit: Callable[[Callable[[], None]], Future[None]]
    ) -> None:
        self._shims = shims
        self._exists = exists
        self._submit = submit
        self._changed = threading.Condition()
        self._watches: dict[str, list[Watch]] = {}
        self._measuring = False
        self._closed = False

    def measure(self, container: str) -> Measurement:
        """Measure a container now. Raises `Conflict` if it does not run, `Unsupported`, `Unavailable`."""
        return self._receive(container, self._shims.ask(container, "stats"), time.monotonic() + _PATIENCE)

    def watch(self, container: str, watcher: Watcher) -> Watch:
        """Have a container measured once a second, from now on. The watch is the caller's to end."""
        watch = Watch(container, watcher)
        with self._changed:
            self._watches.setdefault(container, []).append(watch)
            if not self._measuring and not self._closed:
                self._measuring = True
                self._submit(self._measure_all)
        return watch

    def end(self, watch: Watch) -> None:
        """End a watch. Harmless if it has ended."""
        with self._changed:
            watching = self._watches.get(watch.container, [])
            if watch in watching:
                watching.remove(watch)
            if not watching:
                self._watches.pop(watch.container, None)
            self._changed.notify()

    def close(self) -> None:
        """Measure no more."""
        with self._changed:
            self._closed = True
            self._watches.clear()
            self._changed.notify()

    def _measure_all(self) -> None:
        due = time.monotonic()
        while True:
            with self._changed:
                # Who began to watch in between waits for the next time, as those do who were here before.
                self._changed.wait_for(lambda: not self._watches, max(0.0, due - time.monotonic()))
                if not self._watches:
                    self._measuring = False
                    return
                watches = {container: tuple(watching) for container, watching in self._watches.items()}
            due = time.monotonic() + _INTERVAL
            try:
                self._tell(watches)
            except Exception:
                # The watchers of other containers, and of the next second, still wait.
                log.exception("measuring the containers")

    def _tell(self, watches: Mapping[str, tuple[Watch, ...]]) -> None:
        """Measure each container once, all at the same time, and tell its watchers."""
        asked = {container: self._ask(container) for container in watches}
        deadline = time.monotonic() + _PATIENCE
        for container, watching in watches.items():
            measurement = self._result(container, asked[container], deadline)
            for watch in watching:
                watch.watcher(measurement)

    def _ask(self, container: str) -> Future[Message] | None:
        try:
            return self._shims.ask(container, "stats")
        except Conflict:
            return None

    def _result(self, container: str, asked: Future[Message] | None, deadline: float) -> Measurement | None:
        """Return what was measured, an empty measurement if the container does not run, or None if it is gone."""
        if asked is not None:
            try:
                return self._receive(container, asked, deadline)
            except (Conflict, NotFound):
                pass
            except TransomError as error:
                log.info("the container %s is not measured: %s", container, error)
        return Measurement() if self._exists(container) else None

    def _receive(self, container: str, asked: Future[Message], deadline: float) -> Measurement:
        try:
            answer = checked(asked.result(max(0.0, deadline - time.monotonic())))
        except FutureTimeout:
            raise Unavailable(f"the shim of the container {container} does not answer") from None
        return _measurement(answer)


def _measurement(answer: Message) -> Measurement:
    network: dict[str, dict[str, Any]] = answer["network"]
    spent, processors = _machine_time()
    return Measurement(
        time=time.time_ns(),
        counters=records.load(Counters, answer["counters"]),
        machine_cpu=spent,
        processors=processors,
        machine_memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        network=network,
    )


def _machine_time() -> tuple[int, int]:
    """Return the nanoseconds that all processors together have spent, idle ones too, and their number (proc(5))."""
    with open("/proc/stat") as file:
        lines = file.read().splitlines()
    # User, nice, system, idle, iowait, irq, softirq: those that Docker adds up.
    ticks = sum(int(number) for number in lines[0].split()[1:8])
    processors = sum(line.startswith("cpu") for line in lines) - 1
    return ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK"), processors
