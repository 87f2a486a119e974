"""Containers that stand still: what can be done to them, what cannot, and who remembers that they do."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.daemon import Daemon
from testbed.registry import Registry
from testbed.waiting import wait_for_log

COUNTER = "i=0; while :; do i=$((i+1)); echo $i > /count; done"


@pytest.fixture
def name(daemon: Daemon) -> Iterator[str]:
    """A running container that counts in a file as fast as it can; its name."""
    name = "counter"
    daemon.docker("run", "-d", "--name", name, daemon.busybox, "sh", "-c", COUNTER)
    yield name
    daemon.docker("rm", "-f", name, check=False)


def state(daemon: Daemon, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(daemon.docker("inspect", name).stdout)[0]["State"]
    return found


def processor_time(init: object) -> int:
    """Return the clock ticks that a process has run for."""
    fields = Path(f"/proc/{init}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_paused_container_stands_still_and_goes_on(daemon: Daemon, name: str) -> None:
    assert daemon.docker("pause", name).stdout == f"{name}\n"
    paused = state(daemon, name)
    assert (paused["Status"], paused["Running"], paused["Paused"]) == ("paused", True, True)
    before = processor_time(paused["Pid"])
    assert daemon.docker("ps", "--format", "{{.Status}}").stdout.endswith("(Paused)\n")
    assert processor_time(paused["Pid"]) == before
    assert daemon.transom("unpause", name).stdout == f"{name}\n"
    end = time.monotonic() + 30
    while processor_time(paused["Pid"]) == before:
        assert time.monotonic() < end, "it does not go on"
    assert state(daemon, name)["Status"] == "running"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("pause",), "is already paused"),
        (("exec", "NAME", "true"), "container NAME is paused, unpause the container before exec"),
        (("start",), "cannot start a paused container, try unpause instead"),
        (("attach",), "cannot attach to a paused container, unpause it first"),
        (("rm",), 'cannot remove container "NAME": container is paused and must be unpaused first'),
    ],
)
def test_what_a_paused_container_cannot_do_is_said(
    daemon: Daemon, name: str, command: tuple[str, ...], reason: str
) -> None:
    daemon.docker("pause", name)
    words = [word.replace("NAME", name) for word in command]
    for client in (daemon.docker, daemon.transom):
        done = client(*words, *([name] if len(words) == 1 else []), check=False)
        assert done.returncode == 1
        assert reason.replace("NAME", name) in done.stderr
    assert state(daemon, name)["Status"] == "paused"


def test_a_container_that_does_not_run_is_not_paused(daemon: Daemon, name: str) -> None:
    done = daemon.docker("unpause", name, check=False)
    assert (done.returncode, "is not paused" in done.stderr) == (1, True)
    daemon.docker("kill", name)
    done = daemon.docker("pause", name, check=False)
    assert (done.returncode, "is not running" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("command", "code"), [(("stop", "-t", "60"), 0), (("kill",), 137), (("kill", "-s", "TERM"), 0)]
)
def test_a_paused_container_hears_that_it_should_end(daemon: Daemon, command: tuple[str, ...], code: int) -> None:
    name = "hears"
    script = "trap 'exit 0' TERM; echo ready; while :; do :; done"
    daemon.docker("run", "-d", "--name", name, daemon.busybox, "sh", "-c", script)
    wait_for_log(daemon, name, "ready")
    daemon.docker("pause", name)
    daemon.docker(*command, name)
    assert daemon.docker("wait", name).stdout == f"{code}\n"
    ended = state(daemon, name)
    assert (ended["Status"], ended["Paused"]) == ("exited", False)
    daemon.docker("rm", name)


def test_a_paused_container_can_be_removed_by_force(daemon: Daemon, name: str) -> None:
    daemon.docker("pause", name)
    daemon.docker("rm", "-f", name)
    assert name not in daemon.docker("ps", "-a", "--format", "{{.Names}}").stdout.split()


def test_the_next_daemon_knows_that_a_container_is_paused(own_daemon: Daemon) -> None:
    own_daemon.docker("run", "-d", "--name", "still", own_daemon.busybox, "sleep", "1000")
    own_daemon.docker("pause", "still")
    own_daemon.kill()
    own_daemon.start()
    assert state(own_daemon, "still")["Status"] == "paused"
    own_daemon.docker("unpause", "still")
    assert own_daemon.docker("exec", "still", "echo", "awake").stdout == "awake\n"


def test_a_pause_and_an_exec_at_once_do_not_hold_each_other_up(daemon: Daemon, name: str) -> None:
    for _ in range(5):
        adding = subprocess.Popen(
            ["docker", "-H", daemon.host, "exec", name, "true"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        daemon.docker("pause", name)
        daemon.docker("unpause", name)
        complaint, _ = adding.communicate(timeout=60)
        # The client asks for another protocol, and says no more of a refusal than its number.
        assert adding.returncode == 0 or b"is paused" in complaint or b"409" in complaint


@pytest.mark.parametrize("layout", ["v1", "none"])
def test_pausing_without_version_2_of_control_groups(tmp_path: Path, registry: Registry, layout: str) -> None:
    hidden = {"v1": "/sys/fs/cgroup/unified", "none": "/sys/fs/cgroup"}[layout]
    wrapper = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {hidden} && exec "$@"', "sh"]
    with Daemon(tmp_path, wrapper=wrapper) as daemon:
        daemon.docker("pull", "-q", registry.busybox)
        daemon.docker("run", "-d", "--name", "still", registry.busybox, "sleep", "1000")
        done = daemon.docker("pause", "still", check=False)
        if layout == "none":
            assert "has no control group hierarchy that freezes processes" in done.stderr
        else:
            assert state(daemon, "still")["Status"] == "paused"
            daemon.docker("kill", "still")
            assert daemon.docker("wait", "still").stdout == "137\n"
