"""A client of the Docker SDK, and containers to look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import docker
import pytest

from testbed.daemon import Daemon
from testbed.description import check_answer


@pytest.fixture(scope="module")
def client(daemon: Daemon) -> Iterator[Any]:
    client = docker.DockerClient(base_url=daemon.host, version="1.50", timeout=60)
    client.api.hooks["response"].append(_check)
    yield client
    client.close()


def _check(response: Any, **_: Any) -> None:
    """Check an answer that does not come over time against the API's description."""
    if "Content-Length" in response.headers:
        url, kind = response.request.path_url, response.headers.get("Content-Type", "")
        assert check_answer(response.request.method, url, response.status_code, kind, response.content) == []


@pytest.fixture(autouse=True)
def nothing_stays(client: Any) -> Iterator[None]:
    yield
    for container in client.containers.list(all=True):
        container.remove(force=True, v=True)
    for volume in client.volumes.list():
        volume.remove()


@pytest.fixture
def running(client: Any, daemon: Daemon) -> Any:
    container = client.containers.run(
        daemon.busybox, ["sleep", "1000"], detach=True, name="up", labels={"color": "red"}, environment={"A": "1"}
    )
    container.reload()
    return container


@pytest.fixture
def ended(client: Any, daemon: Daemon) -> Any:
    script = "echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three; exit 3"
    container = client.containers.run(daemon.busybox, ["sh", "-c", script], detach=True, name="over")
    container.wait()
    return container
