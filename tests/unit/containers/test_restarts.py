"""Restart policies, with a clock that the tests do not wait for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from transom.containers.model import Container, ContainerConfig, HostConfig, RestartPolicy, State, Status
from transom.containers.restarts import Restarts, check_policy
from transom.errors import InvalidParameter
from transom.graph.digest import Digest


@pytest.fixture
def restarted() -> list[str]:
    return []


@pytest.fixture
def restarts(restarted: list[str]) -> Iterator[Restarts]:
    with ThreadPoolExecutor(1) as pool:
        restarts = Restarts(restarted.append, pool.submit)
        yield restarts
        restarts.close()


def container(policy: str, *, retries: int = 0, **state: object) -> Container:
    host = HostConfig(restart=RestartPolicy(policy, retries))
    values = {"status": Status.EXITED, "started": 1, "finished": 2, **state}
    return Container(
        "id",
        "name",
        0,
        Digest.of(b""),
        ContainerConfig("i"),
        host,
        "g",
        "e",
        "n",
        "l",
        state=State(**values),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("ended", "again"),
    [
        (container("no", exit_code=1), False),
        (container("always"), True),
        (container("always", stopped_by_user=True), False),
        (container("unless-stopped"), True),
        (container("on-failure"), False),
        (container("on-failure", exit_code=3), True),
        (container("on-failure", exit_code=3, retries=2, restarts=1), True),
        (container("on-failure", exit_code=3, retries=2, restarts=2), False),
    ],
)
def test_a_policy_says_whether_a_container_is_started_again(restarts: Restarts, ended: Container, again: bool) -> None:
    assert (restarts.delay(ended) is not None) is again


def test_each_delay_is_twice_the_one_before_until_a_run_has_lasted(restarts: Restarts) -> None:
    short = container("always")
    assert [restarts.delay(short) for _ in range(3)] == [0.1, 0.2, 0.4]
    assert restarts.delay(container("always", finished=20_000_000_000)) == 0.1


def test_the_delay_has_a_bound(restarts: Restarts) -> None:
    assert [restarts.delay(container("always")) for _ in range(20)][-1] == 60


def test_what_is_due_is_restarted(restarted: list[str], restarts: Restarts) -> None:
    restarts.schedule("a", 0)
    restarts.schedule("b", 0.01)
    waited = threading.Event()
    for _ in range(500):
        if restarted == ["a", "b"]:
            break
        waited.wait(0.01)
    assert restarted == ["a", "b"]


def test_what_is_forgotten_is_not_restarted(restarted: list[str], restarts: Restarts) -> None:
    restarts.schedule("a", 0.05)
    restarts.forget("a")
    threading.Event().wait(0.1)
    assert restarted == []


@pytest.mark.parametrize(
    ("left", "again"),
    [
        (container("always", stopped_by_user=True), True),
        (container("unless-stopped", stopped_by_user=True), False),
        (container("unless-stopped"), True),
        (container("on-failure", exit_code=1), False),
        (container("on-failure", exit_code=1, status=Status.RESTARTING), True),
        (container("always", status=Status.CREATED, started=0), False),
        (container("no"), False),
    ],
)
def test_a_policy_says_what_starts_with_the_engine(restarts: Restarts, left: Container, again: bool) -> None:
    assert restarts.wanted_after_boot(left) is again


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (RestartPolicy("sometimes"), "unknown policy 'sometimes'"),
        (RestartPolicy("always", 3), "maximum retry count can only be used with 'on-failure'"),
        (RestartPolicy("no", -1), "can only be used with 'on-failure' and cannot be negative"),
        (RestartPolicy("on-failure", -1), "maximum retry count cannot be negative"),
    ],
)
def test_a_restart_policy_that_there_is_not_is_refused(policy: RestartPolicy, reason: str) -> None:
    with pytest.raises(InvalidParameter, match=reason):
        check_policy(policy)
