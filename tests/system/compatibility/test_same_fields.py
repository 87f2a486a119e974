"""The answers of the API have the fields that dockerd's have, with values of the same types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import docker
import pytest

from testbed.clients import Clients
from testbed.daemon import Daemon
from testbed.peer import Peer

#: Fields that only dockerd has, by the beginnings of their paths, each with the reason.
ABSENT: dict[str, dict[str, str]] = {
    "information": {
        ".BridgeNf": "There is no bridge yet; Docker has left them out since 28.2.",
        ".KernelMemory": "Linux has no limit of the kernel's memory any more; Docker has left them out since 24.0.",
        ".RegistryConfig.AllowNondistributable": "Docker has left them out since 28.0.",
        ".Runtimes.": "A runtime is an exec driver, and has no path.",
        ".SecurityOptions": "There is no seccomp yet.",
    },
    "a container": {
        ".GraphDriver.Data.": "Layers are mounted by their driver alone, and nothing may lean on where they are.",
        ".HostConfig.KernelMemory": "Linux has no limit of the kernel's memory any more.",
    },
    "an image": {
        ".GraphDriver.Data.": "Layers are mounted by their driver alone, and nothing may lean on where they are.",
    },
}


class Subject:
    """An engine with a container that ran and one that runs, asked in the version of the API that dockerd speaks."""

    def __init__(self, engine: Clients, image: str, version: str) -> None:
        self.image = image
        self.client = docker.APIClient(base_url=engine.host, version=version)
        host = self.client.create_host_config(
            binds=["store:/data"], network_mode="none", restart_policy={"Name": "on-failure", "MaximumRetryCount": 1}
        )
        self.up = self.client.create_container(
            image, ["sleep", "1000"], name="up", host_config=host, ports=[80], labels={"color": "red"}
        )["Id"]
        self.client.start(self.up)
        self.exec = self.client.exec_create(self.up, "true")["Id"]
        self.client.exec_start(self.exec)

    def close(self) -> None:
        self.client.remove_container(self.up, force=True, v=True)
        self.client.remove_volume("store")
        self.client.close()

    def get(self, what: str) -> Any:
        client = self.client
        return {
            "version": client.version,
            "information": client.info,
            "a container": lambda: client.inspect_container(self.up),
            "containers": lambda: client.containers(all=True),
            "an image": lambda: client.inspect_image(self.image),
            "images": client.images,
            "an image's history": lambda: client.history(self.image),
            "a volume": lambda: client.inspect_volume("store"),
            "volumes": client.volumes,
            "an exec": lambda: client.exec_inspect(self.exec),
            "networks": client.networks,
        }[what]()


@pytest.fixture(scope="module")
def subjects(daemon: Daemon, peer: Peer) -> Iterator[tuple[Subject, Subject]]:
    version = peer.docker("version", "-f", "{{.Server.APIVersion}}").stdout.strip()
    subjects = Subject(peer, daemon.busybox, version), Subject(daemon, daemon.busybox, version)
    yield subjects
    for subject in subjects:
        subject.close()


@pytest.mark.parametrize(
    "what",
    [
        "version",
        "information",
        "a container",
        "containers",
        "an image",
        "images",
        "an image's history",
        "a volume",
        "volumes",
        "an exec",
        "networks",
    ],
)
def test_an_answer_has_dockers_fields(subjects: tuple[Subject, Subject], what: str) -> None:
    expected, found = (dict(fields(subject.get(what))) for subject in subjects)
    absent = ABSENT.get(what, {})
    # Go writes null for empty lists and mappings, and clients read both.
    missing = {path for path, kind in expected.items() if not _same_kind(kind, found.get(path))}
    assert {path for path in missing if not path.startswith(tuple(absent))} == set()
    assert [start for start in absent if not any(path.startswith(start) for path in missing)] == [], "no longer needed"


def _same_kind(expected: str, found: str | None) -> bool:
    return found is not None and (expected == found or "NoneType" in (expected, found))


def fields(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Give the paths of all fields with the types of their values; what a list has first stands for all of it."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from fields(item, f"{path}.{name}")
    elif isinstance(value, list) and value:
        yield from fields(value[0], f"{path}[]")
    yield path, type(value).__name__
