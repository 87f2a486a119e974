"""Restart policies: kept by one daemon, by the next, and after the machine was started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.daemon import Daemon
from testbed.waiting import has_ended, wait_for


def state(daemon: Daemon, name: str) -> Any:
    return json.loads(daemon.docker("inspect", name).stdout)[0]["State"]


def stop_and_start(daemon: Daemon) -> None:
    daemon.stop()
    daemon.start()


def kill_and_start(daemon: Daemon) -> None:
    daemon.kill()
    daemon.start()


def start_the_machine_again(daemon: Daemon) -> None:
    """End all processes, and lose what is not on a disk."""
    pids = [state(daemon, name)["Pid"] for name in daemon.docker("ps", "--format", "{{.Names}}").stdout.split()]
    daemon.kill()
    for pid in pids:
        shim = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(shim, signal.SIGKILL)
    wait_for(lambda: all(has_ended(pid) for pid in pids))
    for directory in (daemon.exec_root / "shims").iterdir():
        if directory.is_dir():
            shutil.rmtree(directory)
    daemon.start()


@pytest.fixture(params=[stop_and_start, kill_and_start, start_the_machine_again])
def again(request: pytest.FixtureRequest) -> Callable[[Daemon], None]:
    found: Callable[[Daemon], None] = request.param
    return found


def test_policies_are_kept_over_a_start_of_daemon_and_machine(
    own_daemon: Daemon, again: Callable[[Daemon], None]
) -> None:
    daemon = own_daemon
    for policy in ("no", "on-failure", "unless-stopped", "always"):
        for name in ("runs", "stopped"):
            daemon.docker(
                "run",
                "-d",
                "--name",
                f"{policy}-{name}",
                "--restart",
                policy,
                "--init",
                daemon.busybox,
                "sleep",
                "1000",
            )
        daemon.docker("stop", "-t", "10", f"{policy}-stopped")
    daemon.docker("create", "--name", "never", "--restart", "always", daemon.busybox, "sleep", "1000")
    again(daemon)
    expected = {"unless-stopped-runs", "always-runs", "always-stopped", "on-failure-runs"}
    if again is not start_the_machine_again:
        expected |= {"no-runs"}
    wait_for(lambda: set(daemon.docker("ps", "--format", "{{.Names}}").stdout.split()) >= expected)
    assert set(daemon.docker("ps", "--format", "{{.Names}}").stdout.split()) == expected
    assert state(daemon, "no-runs")["ExitCode"] == (255 if again is start_the_machine_again else 0)
    assert state(daemon, "never")["Status"] == "created"


def test_a_container_that_has_others_namespaces_is_started_after_them(own_daemon: Daemon) -> None:
    daemon = own_daemon
    daemon.docker("run", "-d", "--name", "donor", "--restart", "always", daemon.busybox, "sleep", "1000")
    daemon.docker(
        "run",
        "-d",
        "--name",
        "joined",
        "--restart",
        "always",
        "--pid",
        "container:donor",
        daemon.busybox,
        "sleep",
        "1000",
    )
    start_the_machine_again(daemon)
    wait_for(lambda: len(daemon.docker("ps", "-q").stdout.split()) == 2)


def test_retries_are_counted_and_end(own_daemon: Daemon) -> None:
    daemon = own_daemon
    daemon.docker(
        "run", "-d", "--name", "box", "--restart", "on-failure:3", daemon.busybox, "sh", "-c", "echo again; exit 9"
    )
    wait_for(lambda: state(daemon, "box")["Status"] == "exited")
    found = json.loads(daemon.docker("inspect", "box").stdout)[0]
    assert (found["RestartCount"], found["State"]["ExitCode"]) == (3, 9)
    assert daemon.docker("logs", "box").stdout == "again\n" * 4
    assert daemon.docker("wait", "box").stdout == "9\n"


def test_each_restart_waits_twice_as_long_as_the_one_before(own_daemon: Daemon) -> None:
    daemon = own_daemon
    daemon.docker("run", "-d", "--name", "box", "--restart", "on-failure:4", daemon.busybox, "false")
    wait_for(lambda: state(daemon, "box")["Status"] == "exited")
    told = daemon.docker(
        "events", "--since", "5m", "--until", str(time.time()), "-f", "container=box", "--format", "{{json .}}"
    )
    events = [json.loads(line) for line in told.stdout.splitlines()]
    ends = [event["timeNano"] for event in events if event["Action"] == "die"]
    starts = [event["timeNano"] for event in events if event["Action"] == "start"][1:]
    delays = [(start - end) / 1e9 for start, end in zip(starts, ends, strict=False)]
    assert all(delay >= wanted for delay, wanted in zip(delays, (0.1, 0.2, 0.4, 0.8), strict=True))


def test_a_success_is_not_restarted_on_failure_and_always_is(own_daemon: Daemon) -> None:
    daemon = own_daemon
    daemon.docker("run", "-d", "--name", "once", "--restart", "on-failure", daemon.busybox, "true")
    daemon.docker("run", "-d", "--name", "ever", "--restart", "always", daemon.busybox, "true")
    wait_for(lambda: json.loads(daemon.docker("inspect", "ever").stdout)[0]["RestartCount"] >= 2)
    daemon.docker("stop", "ever")
    assert state(daemon, "ever")["Status"] == "exited"
    assert json.loads(daemon.docker("inspect", "once").stdout)[0]["RestartCount"] == 0
