"""A project of docker-compose with two networks: a service in the middle is on both."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.daemon import Daemon

PROJECT = """
version: "2.4"
services:
  front:
    image: $IMAGE
    command: sleep 1000
    networks: [outer]
  middle:
    image: $IMAGE
    command: sleep 1000
    ports: ["127.0.0.1:8088:80"]
    networks:
      outer: {aliases: [gate]}
      inner: {ipv4_address: 10.66.0.66}
  back:
    image: $IMAGE
    command: sleep 1000
    networks: [inner]
networks:
  outer: {}
  inner:
    internal: true
    ipam: {config: [{subnet: 10.66.0.0/24}]}
"""

Compose = Callable[..., str]


@pytest.fixture
def compose(daemon: Daemon, tmp_path: Path) -> Iterator[Compose]:
    (tmp_path / "docker-compose.yml").write_text(PROJECT.replace("$IMAGE", daemon.busybox))

    def run(*arguments: str) -> str:
        command = ["docker-compose", "--ansi", "never", "-p", "two", *arguments]
        environment = {**daemon.environment(), "COMPOSE_API_VERSION": "1.44"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}\n{daemon.log()}"
        return done.stdout

    yield run
    run("down", "-t", "0")
    assert daemon.docker("network", "ls", "-q", "--filter", "type=custom").stdout == ""


def reaches(daemon: Daemon, service: str, name: str) -> bool:
    container = f"two_{service}_1"
    return daemon.docker("exec", container, "ping", "-c1", "-W2", name, check=False).returncode == 0


def test_services_reach_those_on_their_networks_by_name(daemon: Daemon, compose: Compose) -> None:
    compose("up", "-d")
    assert reaches(daemon, "front", "middle")
    assert reaches(daemon, "front", "gate")
    assert reaches(daemon, "back", "middle")
    assert reaches(daemon, "middle", "back")
    assert not reaches(daemon, "front", "back")
    assert not reaches(daemon, "front", "10.66.0.66")
    shown = daemon.docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", "two_middle_1").stdout
    assert '"IPAddress":"10.66.0.66"' in shown
    assert daemon.docker("port", "two_middle_1").stdout == "80/tcp -> 127.0.0.1:8088\n"
