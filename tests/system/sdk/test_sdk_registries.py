"""The Docker SDK for Python at registries, through a Transom daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError

from testbed.daemon import Daemon
from testbed.registry import Registry
from testbed.tokens import USERS


@pytest.fixture(scope="module")
def client(daemon: Daemon) -> Iterator[Any]:
    client = docker.DockerClient(base_url=daemon.host, timeout=60)
    yield client
    client.close()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that wants passwords."""
    with Registry(tmp_path_factory.mktemp("locked"), users=USERS) as registry:
        yield registry


def test_an_image_is_pushed_and_known_at_its_registry(client: Any, daemon: Daemon, registry: Registry) -> None:
    image, repository = client.images.get(daemon.busybox), f"{registry.address}/by-the-sdk"
    image.tag(repository, "v1")
    told = list(client.images.push(repository, tag="v1", stream=True, decode=True))
    (result,) = [line["aux"] for line in told if "aux" in line]
    assert result["Tag"] == "v1"
    assert told[0] == {"status": f"The push refers to repository [{repository}]"}
    data = client.images.get_registry_data(f"{repository}:v1")
    assert data.id == result["Digest"]
    assert data.has_platform("linux/amd64")
    client.images.remove(f"{repository}:v1")
    assert data.pull().id == image.id


def test_credentials_open_a_registry(client: Any, daemon: Daemon, locked: Registry, tmp_path: Path) -> None:
    repository = f"{locked.address}/app"
    client.images.get(daemon.busybox).tag(repository, "v1")
    assert "no basic auth credentials" in client.images.push(repository, tag="v1")
    with pytest.raises(APIError, match="401"):
        client.login("alice", "wrong", registry=locked.address, dockercfg_path=str(tmp_path / "none"))
    credentials = {"username": "alice", "password": USERS["alice"]}
    told = client.login(**credentials, registry=locked.address, dockercfg_path=str(tmp_path / "none"))
    assert told["Status"] == "Login Succeeded"
    assert "digest: sha256:" in client.images.push(repository, tag="v1", auth_config=credentials)
    client.images.pull(repository, tag="v1", auth_config=credentials)


def test_repositories_are_found(client: Any, registry: Registry) -> None:
    found = client.images.search(f"{registry.address}/busybox")
    assert [item["name"] for item in found] == [f"{registry.address}/busybox"]
