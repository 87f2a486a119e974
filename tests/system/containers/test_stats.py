"""What containers use: processor time, memory and processes that are really theirs."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from testbed.daemon import Daemon
from testbed.host import CGROUP_PARENT, groups_named
from testbed.registry import Registry

BUSY = "sleep 6000 & dd if=/dev/zero of=/dev/shm/held bs=1M count=20 2>/dev/null; while :; do :; done"


@pytest.fixture(scope="module")
def busy(daemon: Daemon) -> Iterator[str]:
    """A container that computes without end, holds 20 MB and has two processes; its name."""
    daemon.docker("run", "-d", "--name", "busy", daemon.busybox, "sh", "-c", BUSY)
    yield "busy"
    daemon.docker("rm", "-f", "busy")


def measure(daemon: Daemon, name: str, query: str = "stream=0") -> Any:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(daemon.socket))
        client = http.client.HTTPConnection("d")
        client.sock = connection
        client.request("GET", f"/containers/{name}/stats?{query}")
        answer = client.getresponse()
        assert answer.status == 200
        return json.loads(answer.read())


def test_processor_time_memory_and_processes_are_the_containers(daemon: Daemon, busy: str) -> None:
    found = measure(daemon, busy)
    now, before = found["cpu_stats"], found["precpu_stats"]
    spent = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    whole = now["system_cpu_usage"] - before["system_cpu_usage"]
    assert 0 < spent <= whole
    assert now["online_cpus"] >= 1
    assert 20 << 20 <= found["memory_stats"]["usage"] < 60 << 20
    assert found["memory_stats"]["limit"] > found["memory_stats"]["usage"]
    assert found["pids_stats"]["current"] == 2


def test_a_process_that_was_added_is_counted(daemon: Daemon, busy: str) -> None:
    daemon.docker("exec", "-d", busy, "sleep", "6001")
    processes = daemon.docker("top", busy, "-o", "pid,args").stdout
    assert "sleep 6001" in processes
    assert measure(daemon, busy, "stream=0&one-shot=1")["pids_stats"]["current"] == 3
    daemon.docker("exec", busy, "sh", "-c", "kill $(pidof sleep | cut -d' ' -f1)")


@pytest.mark.parametrize("client", ["docker", "transom"])
def test_both_clients_show_a_line_for_each_container(daemon: Daemon, busy: str, client: str) -> None:
    daemon.docker("create", "--name", "still", daemon.busybox, "true")
    run = getattr(daemon, client)
    lines = run("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}").stdout.splitlines()
    assert lines == ["busy 2"]
    lines = run("stats", "--no-stream", "-a", "--format", "{{.Name}} {{.MemUsage}}").stdout.splitlines()
    assert "still 0B / 0B" in lines
    share = run("stats", "--no-stream", "--format", "{{.CPUPerc}}", busy).stdout
    assert float(share.rstrip("%\n")) > 0
    daemon.docker("rm", "still")


def test_a_stream_goes_on_while_the_container_is_paused_and_ends_with_its_removal(daemon: Daemon) -> None:
    client = docker.DockerClient(daemon.host)
    container = client.containers.run(daemon.busybox, ["sleep", "6002"], detach=True)
    stream = container.stats(stream=True, decode=True)
    first = next(stream)
    assert (first["id"], first["pids_stats"]["current"]) == (container.id, 1)
    container.pause()
    assert next(stream)["pids_stats"]["current"] == 1
    container.kill()
    while next(stream)["pids_stats"]:
        continue
    container.remove()
    assert all(not left["pids_stats"] for left in stream)
    client.close()


def test_no_group_outlives_its_container(daemon: Daemon) -> None:
    identity = daemon.docker("run", "-d", daemon.busybox, "sleep", "6003").stdout.strip()
    assert len(groups_named(f"{CGROUP_PARENT}/{identity}")) > 1
    daemon.docker("rm", "-f", identity)
    assert not groups_named(identity)


@pytest.mark.parametrize(("hidden", "counted"), [("/sys/fs/cgroup/unified", True), ("/sys/fs/cgroup", False)])
def test_stats_on_other_layouts_of_control_groups(
    tmp_path: Path, registry: Registry, hidden: str, counted: bool
) -> None:
    wrapper = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {hidden} && exec "$@"', "sh"]
    with Daemon(tmp_path, wrapper=wrapper) as daemon:
        daemon.docker("pull", "-q", registry.busybox)
        daemon.docker("run", "-d", "--name", "one", registry.busybox, "sleep", "6004")
        found = measure(daemon, "one", "stream=0&one-shot=1")
        assert found["pids_stats"] == ({"current": 1} if counted else {})
        assert bool(found["memory_stats"]) is counted
