"""Other names, other restart policies, and what runs in a container."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.daemon import Daemon
from testbed.waiting import wait_for, wait_for_log


@pytest.fixture
def name(daemon: Daemon) -> Iterator[str]:
    name = "changes"
    daemon.docker("run", "-d", "--name", name, daemon.busybox, "sh", "-c", "sleep 5150 & exec sleep 5151")
    yield name
    daemon.docker("rm", "-f", name, check=False)


def inspect(daemon: Daemon, name: str) -> Any:
    return json.loads(daemon.docker("inspect", name).stdout)[0]


def test_a_container_has_its_new_name_also_after_a_restart_of_the_daemon(own_daemon: Daemon) -> None:
    own_daemon.docker("create", "--name", "old", own_daemon.busybox, "true")
    own_daemon.docker("rename", "old", "new")
    own_daemon.kill()
    own_daemon.start()
    assert own_daemon.docker("ps", "-a", "--format", "{{.Names}}").stdout == "new\n"
    own_daemon.docker("create", "--name", "old", own_daemon.busybox, "true")


def test_a_name_that_is_taken_or_wrong_changes_nothing(daemon: Daemon, name: str) -> None:
    daemon.docker("create", "--name", "taken", daemon.busybox, "true")
    for client in (daemon.docker, daemon.transom):
        done = client("rename", name, "taken", check=False)
        assert (done.returncode, "is already in use by container" in done.stderr) == (1, True)
        done = client("rename", name, "not good", check=False)
        assert (done.returncode, "Invalid container name (/not good)" in done.stderr) == (1, True)
        done = client("rename", name, name, check=False)
        assert (done.returncode, "with the same name as its current name" in done.stderr) == (1, True)
    assert inspect(daemon, name)["Name"] == f"/{name}"
    daemon.docker("rm", "taken")


def test_a_restart_policy_counts_from_the_next_end(daemon: Daemon) -> None:
    script = "trap 'exit 3' USR1; echo ready; while :; do sleep 0.05; done"
    daemon.docker("run", "-d", "--name", "failing", daemon.busybox, "sh", "-c", script)
    wait_for_log(daemon, "failing", "ready")
    init = inspect(daemon, "failing")["State"]["Pid"]
    assert daemon.transom("update", "--restart", "on-failure:1", "failing").stdout == "failing\n"
    found = inspect(daemon, "failing")
    assert found["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 1}
    daemon.docker("exec", "failing", "kill", "-USR1", "1", check=False)
    wait_for(lambda: inspect(daemon, "failing")["State"]["Pid"] not in (0, init))
    assert inspect(daemon, "failing")["RestartCount"] == 1
    daemon.docker("rm", "-f", "failing")


def test_a_container_that_is_removed_at_its_end_gets_no_restart_policy(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--rm", "--name", "passing", daemon.busybox, "sleep", "1000")
    done = daemon.docker("update", "--restart", "always", "passing", check=False)
    assert "Restart policy cannot be updated because AutoRemove is enabled for the container" in done.stderr
    assert inspect(daemon, "passing")["HostConfig"]["RestartPolicy"]["Name"] == "no"
    daemon.docker("rm", "-f", "passing")


def test_limits_are_refused_by_name(daemon: Daemon, name: str) -> None:
    done = daemon.docker("update", "--cpu-shares", "5", name, check=False)
    assert (
        done.stderr
        == "Error response from daemon: the option CpuShares is not supported by this engine: leave it out\n"
    )


def test_top_shows_the_processes_of_the_container_alone(daemon: Daemon, name: str) -> None:
    lines = daemon.docker("top", name).stdout.splitlines()
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert sorted(line.split()[-1] for line in lines[1:]) == ["5150", "5151"]
    # Without what changes from one moment to the next: how much of a processor each has had.
    options = ["-o", "uid,pid,ppid,stime,tty,cmd"]
    assert daemon.transom("top", name, *options).stdout == daemon.docker("top", name, *options).stdout


def test_top_takes_any_options_of_ps(daemon: Daemon, name: str) -> None:
    init = str(inspect(daemon, name)["State"]["Pid"])
    for options in (["-o", "pid,args"], ["-eo", "pid,args"], ["-o", "pid=PID,args"]):
        lines = daemon.transom("top", name, *options).stdout.splitlines()[1:]
        assert [init, "sleep", "5151"] in [line.split() for line in lines], options
        assert len(lines) == 2
    threads = daemon.docker("top", name, "-m", "-o", "pid,tid,comm").stdout
    assert init in threads
    done = daemon.docker("top", name, "-o", "comm", check=False)
    assert done.stderr == "Error response from daemon: Couldn't find PID field in ps output\n"


def test_top_of_what_does_not_run_is_a_conflict(daemon: Daemon, name: str) -> None:
    daemon.docker("kill", name)
    done = daemon.docker("top", name, check=False)
    assert (done.returncode, "is not running" in done.stderr) == (1, True)


def test_top_knows_the_processes_of_a_chroot(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--runtime", "chroot", "--name", "plain", daemon.busybox, "sleep", "5152")
    assert daemon.docker("top", "plain", "-o", "pid,args").stdout.splitlines()[1].split()[1:] == ["sleep", "5152"]
    daemon.docker("rm", "-f", "plain")


def test_no_port_is_published(daemon: Daemon, name: str) -> None:
    for client in (daemon.docker, daemon.transom):
        assert client("port", name).stdout == ""
        done = client("port", name, "80", check=False)
        assert (done.returncode, done.stderr) == (1, f"Error: No public port '80' published for {name}\n")
