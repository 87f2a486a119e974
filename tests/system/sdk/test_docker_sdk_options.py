"""Options of containers, as programs that use the Docker SDK for Python ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker.types import Healthcheck

from testbed.daemon import Daemon


@pytest.fixture(scope="module")
def client(daemon: Daemon) -> Iterator[Any]:
    client = docker.DockerClient(base_url=daemon.host, version="1.50", timeout=60)
    yield client
    for container in client.containers.list(all=True):
        container.remove(force=True, v=True)
    client.close()


def test_a_container_is_what_was_asked_for(client: Any, daemon: Daemon) -> None:
    script = (
        "cat /proc/1/comm; cat /proc/sys/net/ipv4/ip_forward; test -c /dev/void && echo device; cat /dev/shm/file;"
        " stat -c %a /scratch; ls /image/etc/group"
    )
    donor = client.containers.run(
        daemon.busybox, ["sh", "-c", "echo shared > /dev/shm/file; exec sleep 1000"], detach=True, ipc_mode="shareable"
    )
    client.containers.get(donor.id).exec_run(["sh", "-c", "while [ ! -s /dev/shm/file ]; do sleep 0.05; done"])
    shown = client.containers.run(
        daemon.busybox,
        ["sh", "-c", script],
        remove=True,
        init=True,
        ipc_mode=f"container:{donor.id}",
        sysctls={"net.ipv4.ip_forward": "1"},
        devices=["/dev/null:/dev/void:r"],
        tmpfs={"/scratch": "mode=700"},
        mounts=[{"Type": "image", "Source": daemon.busybox, "Target": "/image"}],
    )
    assert shown.decode().split() == ["docker-init", "1", "device", "shared", "700", "/image/etc/group"]


def test_volumes_come_from_another_container(client: Any, daemon: Daemon) -> None:
    donor = client.containers.create(daemon.busybox, volumes=["/data"])
    client.containers.run(daemon.busybox, ["touch", "/data/file"], volumes_from=[donor.name], remove=True)
    shown = client.containers.run(daemon.busybox, ["ls", "/data/file"], volumes_from=[f"{donor.id}:ro"], remove=True)
    assert shown == b"/data/file\n"


def test_health_is_checked_and_listed(client: Any, daemon: Daemon) -> None:
    check = Healthcheck(test=["CMD", "true"], interval=50_000_000, retries=1)
    events = client.events(filters={"event": "health_status"}, decode=True)
    container = client.containers.run(daemon.busybox, ["sleep", "1000"], detach=True, healthcheck=check)
    assert next(event["Action"] for event in events if event["id"] == container.id) == "health_status: healthy"
    events.close()
    container.reload()
    assert container.health == "healthy"
    assert container in client.containers.list(filters={"health": "healthy"})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"ipc_mode": "bogus"}, "invalid IPC mode: bogus"),
        ({"pid_mode": "container:nosuch"}, "No such container: nosuch"),
        ({"sysctls": {"kernel.panic": "1"}}, "is not in a separate kernel namespace"),
        ({"uts_mode": "host", "hostname": "x"}, "conflicting options: hostname and the UTS mode"),
        ({"healthcheck": {"test": ["CMD", "x"], "interval": 5}}, "Interval in Healthcheck cannot be less than 1ms"),
        ({"mem_limit": "64m"}, "the option HostConfig.Memory is not supported by this engine: leave it out"),
        ({"restart_policy": {"Name": "bogus"}}, "unknown policy 'bogus'"),
    ],
)
def test_what_cannot_be_is_refused(client: Any, daemon: Daemon, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(APIError, match=sentence) as caught:
        client.containers.create(daemon.busybox, **options)
    assert caught.value.status_code in (400, 501)
