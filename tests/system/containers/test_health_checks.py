"""Health checks in running containers: what clients see, what is told, and that they go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.daemon import Daemon
from testbed.registry import Registry
from testbed.waiting import wait_for

QUICK = ("--health-interval", "50ms", "--health-retries", "2")


@pytest.fixture(autouse=True)
def nothing_stays(daemon: Daemon) -> Iterator[None]:
    yield
    containers = daemon.docker("ps", "-aq").stdout.split()
    if containers:
        daemon.docker("rm", "-f", *containers)


@pytest.fixture(params=["docker", "transom"])
def client(request: pytest.FixtureRequest, daemon: Daemon) -> Any:
    return getattr(daemon, request.param)


def inspect(daemon: Daemon, name: str) -> Any:
    return json.loads(daemon.docker("inspect", name).stdout)[0]


def health(daemon: Daemon, name: str) -> Any:
    return inspect(daemon, name)["State"]["Health"]


def wait_for_health(daemon: Daemon, name: str, status: str) -> None:
    wait_for(lambda: health(daemon, name)["Status"] == status)


def test_a_container_that_works_is_healthy(client: Any, daemon: Daemon) -> None:
    client(
        "run", "-d", "--name", "box", "--health-cmd", "echo out; echo err >&2", *QUICK, daemon.busybox, "sleep", "1000"
    )
    wait_for_health(daemon, "box", "healthy")
    found = health(daemon, "box")
    assert (found["Status"], found["FailingStreak"]) == ("healthy", 0)
    assert (found["Log"][0]["ExitCode"], found["Log"][0]["Output"]) == (0, "out\nerr\n")
    assert "(healthy)" in client("ps", "--format", "{{.Status}}").stdout
    assert client("ps", "-f", "health=healthy", "--format", "{{.Names}}").stdout == "box\n"
    assert client("ps", "-q", "-f", "health=unhealthy").stdout == ""


def test_a_container_that_does_not_work_is_unhealthy_and_becomes_healthy_again(daemon: Daemon) -> None:
    daemon.docker(
        "run", "-d", "--name", "box", "--health-cmd", "test -e /works", *QUICK, daemon.busybox, "sleep", "1000"
    )
    wait_for_health(daemon, "box", "unhealthy")
    assert "(unhealthy)" in daemon.docker("ps", "--format", "{{.Status}}").stdout
    assert health(daemon, "box")["FailingStreak"] >= 2
    daemon.docker("exec", "box", "touch", "/works")
    wait_for_health(daemon, "box", "healthy")


def test_until_the_first_result_it_is_starting(client: Any, daemon: Daemon) -> None:
    client("run", "-d", "--name", "box", "--health-cmd", "true", daemon.busybox, "sleep", "1000")
    client("run", "-d", "--name", "other", daemon.busybox, "sleep", "1000")
    assert health(daemon, "box") == {"Status": "starting", "FailingStreak": 0, "Log": []}
    assert "Health" not in inspect(daemon, "other")["State"]
    assert client("ps", "-f", "health=starting", "--format", "{{.Names}} {{.Status}}").stdout.endswith(
        "(health: starting)\n"
    )
    assert client("ps", "-f", "health=none", "--format", "{{.Names}}").stdout == "other\n"
    assert "unrecognized filter value for health: bogus" in client("ps", "-f", "health=bogus", check=False).stderr


def test_a_check_that_takes_too_long_has_failed_and_leaves_no_process(daemon: Daemon) -> None:
    daemon.docker(
        "run", "-d", "--name", "box", "--health-cmd", "echo begun; sleep 999; true", "--health-timeout", "1s",
        *QUICK, "--health-retries", "1", daemon.busybox, "sleep", "1000",
    )  # fmt: skip
    wait_for_health(daemon, "box", "unhealthy")
    daemon.docker("pause", "box")
    found = health(daemon, "box")["Log"][0]
    assert (found["ExitCode"], found["Output"]) == (-1, "Health check exceeded timeout (1s): begun\n")
    daemon.docker("unpause", "box")
    daemon.docker("exec", "box", "true")


def test_long_output_is_cut(daemon: Daemon) -> None:
    check = "head -c 100000 /dev/zero | tr '\\0' x"
    daemon.docker("run", "-d", "--name", "box", "--health-cmd", check, *QUICK, daemon.busybox, "sleep", "1000")
    wait_for_health(daemon, "box", "healthy")
    assert health(daemon, "box")["Log"][0]["Output"] == "x" * 4096 + "..."


def test_a_check_is_run_as_the_containers_user_in_its_surroundings(daemon: Daemon) -> None:
    daemon.docker(
        "run", "-d", "--name", "box", "-u", "alice", "-e", "A=1", "-w", "/tmp", "--health-cmd", "id -un; echo $A; pwd",
        *QUICK, daemon.busybox, "sleep", "1000",
    )  # fmt: skip
    wait_for_health(daemon, "box", "healthy")
    assert health(daemon, "box")["Log"][0]["Output"] == "alice\n1\n/tmp\n"


def test_a_stopped_container_is_not_healthy_and_a_started_one_begins_anew(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "box", "--health-cmd", "true", *QUICK, daemon.busybox, "sleep", "1000")
    wait_for_health(daemon, "box", "healthy")
    daemon.docker("stop", "-t", "0", "box")
    assert health(daemon, "box")["Status"] == "unhealthy"
    daemon.docker("start", "box")
    wait_for_health(daemon, "box", "healthy")


def test_a_paused_container_is_not_checked(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "box", "--health-cmd", "true", *QUICK, daemon.busybox, "sleep", "1000")
    wait_for_health(daemon, "box", "healthy")
    daemon.docker("pause", "box")
    assert health(daemon, "box")["Status"] == "unhealthy"
    daemon.docker("unpause", "box")
    wait_for_health(daemon, "box", "healthy")


def test_the_images_check_is_run_and_can_be_changed_and_switched_off(daemon: Daemon, registry: Registry) -> None:
    image = registry.push_configured(
        "checked", {"Healthcheck": {"Test": ["CMD", "echo", "from the image"], "Interval": 50_000_000, "Retries": 7}}
    )
    daemon.docker("run", "-d", "-q", "--name", "box", image, "sleep", "1000")
    wait_for_health(daemon, "box", "healthy")
    assert health(daemon, "box")["Log"][0]["Output"] == "from the image\n"
    daemon.docker("create", "--name", "changed", "--health-timeout", "9s", image)
    assert inspect(daemon, "changed")["Config"]["Healthcheck"] == {
        "Test": ["CMD", "echo", "from the image"],
        "Interval": 50_000_000,
        "Timeout": 9_000_000_000,
        "Retries": 7,
    }
    daemon.docker("run", "-d", "--name", "off", "--no-healthcheck", image, "sleep", "1000")
    assert inspect(daemon, "off")["Config"]["Healthcheck"]["Test"] == ["NONE"]
    assert "Health" not in inspect(daemon, "off")["State"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--health-interval", "1us"), "Interval in Healthcheck cannot be less than 1ms"),
        (("--health-timeout", "-1s"), "--health-timeout cannot be negative"),
        (("--no-healthcheck", "--health-cmd", "x"), "--no-healthcheck conflicts with --health-* options"),
        (
            ("--health-interval", "soon"),
            'invalid argument "soon" for "--health-interval" flag: time: invalid duration "soon"',
        ),
    ],
)
def test_a_check_that_cannot_be_is_refused(client: Any, daemon: Daemon, flags: tuple[str, ...], sentence: str) -> None:
    done = client("run", *flags, daemon.busybox, "true", check=False)
    assert (done.returncode, sentence in done.stderr) == (125, True)


def test_checks_go_on_when_another_daemon_has_taken_over(own_daemon: Daemon) -> None:
    daemon = own_daemon
    daemon.docker(
        "run", "-d", "--name", "box", "--health-cmd", "test ! -e /broken", *QUICK, daemon.busybox, "sleep", "1000"
    )
    daemon.docker(
        "run",
        "-d",
        "--name",
        "stuck",
        "--health-cmd",
        "sleep 999",
        "--health-interval",
        "1ms",
        daemon.busybox,
        "sleep",
        "1000",
    )
    wait_for_health(daemon, "box", "healthy")
    daemon.kill()
    daemon.start()
    assert health(daemon, "box")["Status"] == "healthy"
    daemon.docker("exec", "box", "touch", "/broken")
    wait_for_health(daemon, "box", "unhealthy")
    # What the earlier daemon had begun is ended, and begun again.
    assert daemon.docker("exec", "stuck", "sh", "-c", "ps -o args | grep -c '^sleep 999'").stdout == "1\n"


def test_many_containers_with_checks_hold_no_thread_each(daemon: Daemon) -> None:
    names = [f"box{number}" for number in range(30)]
    for name in names:
        daemon.docker(
            "run",
            "-d",
            "--name",
            name,
            "--health-cmd",
            "true",
            "--health-interval",
            "1s",
            daemon.busybox,
            "sleep",
            "1000",
        )
    for name in names:
        wait_for_health(daemon, name, "healthy")
    assert daemon.process is not None
    with open(f"/proc/{daemon.process.pid}/status") as status:
        threads = next(int(line.split()[1]) for line in status if line.startswith("Threads:"))
    assert threads < 30
