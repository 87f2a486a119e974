"""Prunes, and what occupies the disk, on a daemon with everything."""

from __future__ import annotations

import time
from collections.abc import Iterator

import docker
import pytest

from testbed.daemon import Daemon

WRITING = "head -c 5000 /dev/zero > /stored/file; ln /stored/file /stored/again; head -c 3000 /dev/zero > /own"


@pytest.fixture
def full(daemon: Daemon) -> Iterator[Daemon]:
    """A daemon with a running and two ended containers, and a used, an unused and two anonymous volumes."""
    daemon.docker("run", "-d", "--name", "runs", "-v", "used:/stored", daemon.busybox, "sleep", "1000")
    daemon.docker("run", "--name", "ended", "-l", "keep=no", "-v", "named:/stored", daemon.busybox, "sh", "-c", WRITING)
    daemon.docker("create", "--name", "never", "-l", "keep=yes", "-v", "/anonymous", daemon.busybox, "true")
    daemon.docker("volume", "create")
    yield daemon
    for name in ("runs", "ended", "never"):
        daemon.docker("rm", "-fv", name, check=False)
    daemon.docker("volume", "prune", "-af")


def names(daemon: Daemon) -> set[str]:
    return set(daemon.docker("ps", "-a", "--format", "{{.Names}}").stdout.split())


def test_disk_usage_counts_what_is_there(full: Daemon) -> None:
    client = docker.DockerClient(full.host)
    usage = client.df()
    client.close()
    image = usage["Images"][0]
    assert usage["LayersSize"] == image["Size"] > 0
    assert (image["SharedSize"], image["Containers"]) == (0, 3)
    written = {container["Names"][0]: container["SizeRw"] for container in usage["Containers"]}
    assert written["/ended"] >= 3000 > written["/never"]
    volumes = {volume["Name"]: volume["UsageData"] for volume in usage["Volumes"]}
    assert volumes["named"] == {"RefCount": 1, "Size": 5000}
    assert volumes["used"]["RefCount"] == 1
    assert len(volumes) == 4


def test_only_some_kinds_are_counted_on_demand(full: Daemon) -> None:
    for client in (full.docker, full.transom):
        lines = client("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}").stdout.splitlines()
        assert lines == ["Images 1 1", "Containers 3 1", "Local Volumes 4 3", "Build Cache 0 0"]


@pytest.mark.parametrize("client", ["docker", "transom"])
def test_containers_that_do_not_run_are_pruned(full: Daemon, client: str) -> None:
    prune = getattr(full, client)
    prune("container", "prune", "-f", "--filter", "until=1h")
    prune("container", "prune", "-f", "--filter", "label!=keep")
    assert names(full) == {"runs", "ended", "never"}
    assert "Deleted Containers:" in prune("container", "prune", "-f", "--filter", "label=keep=no").stdout
    assert names(full) == {"runs", "never"}
    done = prune("container", "prune", "-f", "--filter", "until=never", check=False)
    assert (done.returncode, names(full)) == (1, {"runs", "never"})
    prune("container", "prune", "-f")
    assert names(full) == {"runs"}


def test_volumes_that_nobody_uses_are_pruned(full: Daemon) -> None:
    full.docker("rm", "ended", "never")
    assert len(full.transom("volume", "prune", "-f").stdout.splitlines()) == 5
    assert full.docker("volume", "ls", "-q").stdout.split() == ["named", "used"]
    shown = full.transom("volume", "prune", "-af").stdout
    assert shown == "Deleted Volumes:\nnamed\n\nTotal reclaimed space: 5kB\n"
    assert full.docker("volume", "ls", "-q").stdout.split() == ["used"]


def test_a_system_prune_keeps_what_is_used(full: Daemon) -> None:
    assert "Total reclaimed space" in full.docker("system", "prune", "-af", "--volumes").stdout
    assert names(full) == {"runs"}
    assert full.docker("images", "-q").stdout
    assert full.docker("volume", "ls", "-q").stdout.split() == ["named", "used"]
    client = docker.DockerClient(full.host)
    events = client.events(since=1, until=int(time.time()) + 1, filters={"event": "prune"}, decode=True)
    last = [(event["Type"], int(event["Actor"]["Attributes"]["reclaimed"])) for event in events][-5:]
    client.close()
    assert [kind for kind, _ in last] == ["container", "network", "volume", "image", "builder"]
    assert last[0][1] >= 3000
