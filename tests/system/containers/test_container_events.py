"""What is told of a container's life: each event, its order and its attributes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from testbed.daemon import Daemon
from testbed.host import CGROUP_PARENT


@pytest.fixture
def begin() -> float:
    return time.time()


@pytest.fixture
def name(daemon: Daemon) -> Iterator[str]:
    name = "told"
    daemon.docker("create", "-it", "--name", name, "-v", "told:/data", daemon.busybox, "sh")
    yield name
    daemon.docker("rm", "-fv", name, check=False)
    daemon.docker("volume", "rm", "told", check=False)


def events(daemon: Daemon, begin: float) -> list[dict[str, Any]]:
    lines = daemon.docker("events", "--since", str(begin), "--until", str(time.time()), "--format", "{{json .}}")
    return [json.loads(line) for line in lines.stdout.splitlines()]


def actions(daemon: Daemon, begin: float) -> list[str]:
    return [f"{event['Type']} {event['Action']}" for event in events(daemon, begin)]


def test_a_life_is_told_in_order(daemon: Daemon, begin: float, name: str) -> None:
    daemon.docker("start", name)
    daemon.docker("pause", name)
    daemon.docker("unpause", name)
    daemon.docker("top", name)
    daemon.docker("update", "--restart", "no", name)
    daemon.docker("rename", name, "other")
    daemon.docker("rename", "other", name)
    daemon.docker("restart", "-t", "0", name)
    daemon.docker("kill", name)
    daemon.docker("rm", name)
    daemon.docker("volume", "rm", "told")
    told = [action.replace("container ", "") for action in actions(daemon, begin)]
    networks = [action for action in told if action.startswith("network ")]
    assert networks == ["network connect", "network disconnect"] * 2
    assert [action for action in told if action not in networks] == [
        *["volume create", "create", "volume mount", "start", "pause", "unpause", "top", "update", "rename", "rename"],
        *["kill", "kill", "volume unmount", "die", "stop", "volume mount", "start", "restart"],
        *["kill", "volume unmount", "die", "destroy", "volume destroy"],
    ]


def test_attributes_say_what_it_was(daemon: Daemon, begin: float, name: str) -> None:
    daemon.docker("start", name)
    daemon.docker("rename", name, "other")
    daemon.docker("exec", "other", "true")
    daemon.docker("kill", "-s", "KILL", "other")
    daemon.docker("rename", "other", name)
    told = {event["Action"].partition(":")[0]: event["Actor"]["Attributes"] for event in events(daemon, begin)}
    assert (told["start"]["name"], told["start"]["image"]) == (name, daemon.busybox)
    assert (told["kill"]["signal"], told["die"]["exitCode"], told["kill"]["name"]) == ("9", "137", "other")
    assert (told["rename"]["oldName"], told["rename"]["name"]) == ("/other", name)
    assert told["exec_create"]["execID"] == told["exec_start"]["execID"] == told["exec_die"]["execID"]
    assert told["exec_die"]["exitCode"] == "0"
    assert told["mount"]["destination"] == "/data"


@pytest.mark.parametrize("action", ["detach", "exec_detach"])
def test_a_client_that_leaves_by_its_keys_is_told(daemon: Daemon, begin: float, name: str, action: str) -> None:
    # The command line looks for the keys itself; other clients leave that to the engine.
    client = docker.DockerClient(daemon.host)
    daemon.docker("start", name)
    if action == "detach":
        stream = client.api.attach_socket(name, {"stdin": 1, "stdout": 1, "stream": 1})
    else:
        added = client.api.exec_create(name, ["sh"], stdin=True, tty=True)
        stream = client.api.exec_start(added["Id"], socket=True, tty=True)
    stream._sock.settimeout(20)
    stream._sock.sendall(b"\x10\x11")
    while stream._sock.recv(4096):
        continue
    end = time.monotonic() + 20
    while f"container {action}" not in actions(daemon, begin):
        assert time.monotonic() < end, "nobody said that the client has left"
    stream.close()
    client.close()
    assert daemon.docker("inspect", "-f", "{{.State.Status}}", name).stdout == "running\n"


def test_a_container_that_ran_out_of_memory_is_told(daemon: Daemon, begin: float) -> None:
    script = "until [ -e /go ]; do sleep 0.05; done; exec dd if=/dev/zero of=/dev/shm/held bs=1M count=60"
    identity = daemon.docker("run", "-d", "--name", "hungry", daemon.busybox, "sh", "-c", script).stdout.strip()
    limit = Path("/sys/fs/cgroup/memory", CGROUP_PARENT, identity, "memory.limit_in_bytes")
    if not limit.exists():
        pytest.skip("this machine does not limit memory by version 1 of control groups")
    limit.write_text(str(16 << 20))
    daemon.docker("exec", "hungry", "touch", "/go")
    assert daemon.docker("wait", "hungry").stdout == "137\n"
    state = json.loads(daemon.docker("inspect", "hungry").stdout)[0]["State"]
    assert (state["OOMKilled"], state["ExitCode"]) == (True, 137)
    told = [action for action in actions(daemon, begin) if "exec" not in action]
    assert told[-2:] == ["container oom", "container die"]
    daemon.docker("rm", "hungry")
