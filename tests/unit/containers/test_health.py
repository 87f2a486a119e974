"""What the results of health checks mean, how often there is one, and who is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import SimpleQueue

import pytest

from transom.containers.health import command_of, describe_timeout, initial_health, interval, judge
from transom.containers.health_checks import HealthChecks
from transom.containers.model import (
    Container,
    ContainerConfig,
    ExecConfig,
    ExecRecord,
    Health,
    HostConfig,
    ProbeResult,
    State,
    Status,
)
from transom.errors import Conflict, StartFailed
from transom.graph.digest import Digest
from transom.graph.model import Healthcheck, RunConfig

SECOND = 1_000_000_000


def container(check: Healthcheck | None, health: Health | None = None, started: int = 0, **run: object) -> Container:
    config = ContainerConfig("image", RunConfig(cmd=("true",), healthcheck=check, **run))  # type: ignore[arg-type]
    return Container(
        "c" * 64, "box", 0, Digest.of(b""), config, HostConfig(), "vfs", "chroot", "host", "json-file",
        state=State(Status.RUNNING, pid=1, started=started, health=health),
    )  # fmt: skip


def result(exit_code: int, start: int = 0) -> ProbeResult:
    return ProbeResult(start, start + 1, exit_code, "said")


# Rules


@pytest.mark.parametrize(
    ("test", "shell", "command"),
    [
        (("CMD", "curl", "-f"), None, ("curl", "-f")),
        (("CMD-SHELL", "exit 1"), None, ("/bin/sh", "-c", "exit 1")),
        (("CMD-SHELL", "exit 1"), ("/bin/bash", "-ec"), ("/bin/bash", "-ec", "exit 1")),
        (("NONE",), None, ()),
        ((), None, ()),
        (("CMD",), None, ()),
        (("BOGUS", "x"), None, ()),
    ],
)
def test_a_check_is_a_command(test: tuple[str, ...], shell: tuple[str, ...] | None, command: tuple[str, ...]) -> None:
    assert command_of(container(Healthcheck(test), shell=shell)) == command


def test_a_container_without_checks_has_no_health() -> None:
    assert initial_health(container(None)) is None
    assert initial_health(container(Healthcheck(("NONE",)))) is None


def test_a_container_starts_anew_and_keeps_what_was_said() -> None:
    before = Health("unhealthy", 5, (result(1),))
    assert initial_health(container(Healthcheck(("CMD", "x")), before)) == Health("starting", 0, (result(1),))


def test_one_success_is_healthy_and_ends_the_streak() -> None:
    assert judge(container(Healthcheck(), Health("unhealthy", 7)), result(0)) == Health("healthy", 0, (result(0),))


@pytest.mark.parametrize(
    ("retries", "streak", "before", "after"),
    [
        (0, 1, "healthy", "healthy"),
        (0, 2, "healthy", "unhealthy"),
        (1, 0, "starting", "unhealthy"),
        (5, 3, "starting", "starting"),
        (5, 9, "unhealthy", "unhealthy"),
    ],
)
def test_failures_in_a_row_are_unhealthy(retries: int, streak: int, before: str, after: str) -> None:
    judged = judge(container(Healthcheck(retries=retries), Health(before, streak)), result(1))
    assert (judged.status, judged.failing_streak) == (after, streak + 1)


def test_failures_while_it_starts_do_not_count_until_it_once_was_healthy() -> None:
    check = Healthcheck(start_period=10 * SECOND, retries=1)
    early, late = result(1, start=105 * SECOND), result(1, start=111 * SECOND)
    starting = container(check, Health(), started=100 * SECOND)
    assert judge(starting, early) == Health("starting", 0, (early,))
    assert judge(starting, late).status == "unhealthy"
    healthy = container(check, Health("healthy"), started=100 * SECOND)
    assert judge(healthy, early).status == "unhealthy"


def test_the_latest_five_results_are_kept() -> None:
    health = Health("healthy", 0, tuple(result(0, start) for start in range(5)))
    judged = judge(container(Healthcheck(), health), result(0, 5))
    assert [item.start for item in judged.log] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("check", "status", "age", "seconds"),
    [
        (Healthcheck(), "starting", 0, 30),
        (Healthcheck(interval=SECOND), "healthy", 0, 1),
        (Healthcheck(start_period=60 * SECOND), "starting", 1, 5),
        (Healthcheck(start_period=60 * SECOND, start_interval=SECOND), "starting", 1, 1),
        (Healthcheck(start_period=60 * SECOND, start_interval=SECOND), "healthy", 1, 30),
        (Healthcheck(start_period=60 * SECOND, start_interval=SECOND), "starting", 61, 30),
    ],
)
def test_checks_are_more_frequent_while_it_starts(check: Healthcheck, status: str, age: int, seconds: int) -> None:
    assert interval(container(check, Health(status), started=1), 1 + age * SECOND) == seconds * SECOND


@pytest.mark.parametrize(
    ("timeout", "words"),
    [(300_000_000, "300ms"), (1_500_000, "1.5ms"), (SECOND, "1s"), (90 * SECOND, "1m30s"), (3600 * SECOND, "1h0m0s")],
)
def test_a_timeout_is_said_as_go_says_it(timeout: int, words: str) -> None:
    assert describe_timeout(timeout, "") == f"Health check exceeded timeout ({words})"
    assert describe_timeout(timeout, "out") == f"Health check exceeded timeout ({words}): out"


# Checks that run


class Execs:
    """Processes that end as the test says."""

    def __init__(self) -> None:
        self.started: SimpleQueue[str] = SimpleQueue()
        self.killed: SimpleQueue[str] = SimpleQueue()
        self.discarded: list[str] = []
        self.left: tuple[str, ...] = ()
        self.error: Exception | None = None
        self.at_once: Callable[[str], None] = lambda _: None
        self._count = 0

    def create(self, _container: Container, config: ExecConfig, *, probe: bool) -> str:
        assert (config.cmd, probe) == (("check",), True)
        self._count += 1
        return f"probe{self._count}"

    def start(self, exec_id: str, attachment: None, *, capture: int) -> None:
        assert (attachment, capture) == (None, 4096)
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.at_once(exec_id)
        self.started.put(exec_id)

    def kill(self, exec_id: str, signal: int) -> None:
        assert signal == 9
        self.killed.put(exec_id)

    def discard(self, exec_id: str) -> None:
        self.discarded.append(exec_id)

    def probes(self, _container: str) -> tuple[str, ...]:
        return self.left


class Bench:
    """One container, its checks, and what was recorded."""

    def __init__(self, check: Healthcheck) -> None:
        self.container = container(replace(check, test=("CMD", "check")), Health())
        self.execs = Execs()
        self.events: SimpleQueue[str] = SimpleQueue()
        self.changed = threading.Condition()
        self._lock = threading.RLock()
        self.checks = HealthChecks(self.execs, self.locked, self.change, self.record)  # type: ignore[arg-type]

    @contextmanager
    def locked(self, _name: str) -> Iterator[Container]:
        with self._lock:
            yield self.container

    def change(self, container: Container) -> None:
        with self._lock, self.changed:
            self.container = self.checks.follow(container)
            self.changed.notify_all()

    def record(self, _container: Container, action: str, _attributes: object = None) -> None:
        self.events.put(action)

    def end(self, exec_id: str, exit_code: int, output: str = "") -> None:
        self.checks.ended(
            ExecRecord(exec_id, self.container.id, ExecConfig(("check",)), False, exit_code, 1, True), output
        )

    def wait_for_results(self, count: int) -> Health:
        with self.changed:
            assert self.changed.wait_for(lambda: self.health.log[count - 1 :] != (), 10)
        return self.health

    @property
    def health(self) -> Health:
        assert self.container.state.health is not None
        return self.container.state.health


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(Healthcheck(interval=1_000_000, retries=2))
    yield bench
    bench.checks.close()


def test_a_check_follows_the_other_and_a_change_of_health_is_told(bench: Bench) -> None:
    bench.change(bench.container)
    for exit_code, status in ((0, "healthy"), (1, "healthy"), (1, "unhealthy"), (0, "healthy")):
        bench.end(bench.execs.started.get(timeout=10), exit_code, "said")
        assert bench.health.status == status
    told = [bench.events.get(timeout=10) for _ in range(11)]
    assert told[:3] == ["exec_create: check", "exec_start: check", "health_status: healthy"]
    assert [action for action in told if "health_status" in action] == [
        "health_status: healthy",
        "health_status: unhealthy",
        "health_status: healthy",
    ]
    assert bench.health.log[0].output == "said"


def test_a_check_that_ends_before_its_start_returns_counts(bench: Bench) -> None:
    bench.execs.at_once = lambda exec_id: bench.end(exec_id, 0)
    bench.change(bench.container)
    bench.wait_for_results(3)
    assert bench.execs.killed.empty()


def test_a_check_that_takes_too_long_is_killed_and_has_failed() -> None:
    bench = Bench(Healthcheck(interval=1_000_000, timeout=1_000_000, retries=1))
    bench.change(bench.container)
    probe = bench.execs.killed.get(timeout=10)
    bench.end(probe, 137, "begun")
    assert bench.health.status == "unhealthy"
    assert (bench.health.log[0].exit_code, bench.health.log[0].output) == (
        -1,
        "Health check exceeded timeout (1ms): begun",
    )
    bench.checks.close()


def test_a_check_that_cannot_be_started_has_failed(bench: Bench) -> None:
    bench.execs.error = StartFailed("no such program", 127)
    bench.change(bench.container)
    health = bench.wait_for_results(1)
    assert (health.log[0].exit_code, health.log[0].output) == (-1, "no such program")
    assert bench.execs.started.get(timeout=10) == "probe2"


def test_a_container_that_ends_is_checked_no_more_and_late_results_are_nothing(bench: Bench) -> None:
    bench.change(bench.container)
    probe = bench.execs.started.get(timeout=10)
    bench.change(bench.container.with_state(status=Status.EXITED))
    bench.end(probe, 0)
    assert (bench.health.status, bench.health.log) == ("unhealthy", ())
    assert probe in bench.execs.discarded
    bench.change(bench.container.with_state(status=Status.RUNNING))
    assert bench.execs.started.get(timeout=10) == "probe2"


def test_a_check_in_a_container_that_has_just_ended_is_no_result(bench: Bench) -> None:
    bench.execs.error = Conflict("container is not running")
    bench.change(bench.container)
    assert bench.events.get(timeout=10) == "exec_create: check"
    bench.change(bench.container.with_state(status=Status.EXITED))
    assert bench.health.log == ()


def test_checks_that_an_earlier_engine_began_are_ended(bench: Bench) -> None:
    bench.execs.left = ("old",)
    bench.checks.adopt(bench.container)
    assert bench.execs.killed.get(timeout=10) == "old"
    bench.end("old", 137)
    assert (bench.execs.discarded, bench.health.log) == (["old"], ())


def test_other_processes_are_nothing_to_health(bench: Bench) -> None:
    bench.change(bench.container)
    bench.checks.ended(ExecRecord("users", bench.container.id, ExecConfig(("ls",)), False, 1, 1), "")
    assert (bench.execs.discarded, bench.health.log) == ([], ())
