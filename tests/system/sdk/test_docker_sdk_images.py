"""What the Docker SDK does with images at rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from docker.errors import ImageLoadError, ImageNotFound

from testbed.daemon import Daemon


@pytest.fixture(autouse=True)
def only_busybox_stays(client: Any, daemon: Daemon) -> Iterator[None]:
    yield
    for image in client.images.list():
        for tag in image.tags:
            if tag != daemon.busybox:
                client.images.remove(tag)


def test_an_image_gets_another_name(client: Any, daemon: Daemon) -> None:
    image = client.images.get(daemon.busybox)
    assert image.tag("other", tag="1")
    assert client.images.get("other:1").id == image.id
    client.images.remove("other:1")
    with pytest.raises(ImageNotFound):
        client.images.get("other:1")


def test_an_image_is_saved_and_loaded_again(client: Any, daemon: Daemon) -> None:
    image = client.images.get(daemon.busybox)
    image.tag("kept:1")
    archive = b"".join(client.images.get("kept:1").save(named="kept:1"))
    client.images.remove("kept:1")
    [loaded] = client.images.load(archive)
    assert (loaded.id, "kept:1" in loaded.tags) == (image.id, True)
    with pytest.raises(ImageLoadError):
        client.images.load(b"this is no archive" * 100)


def test_what_nobody_uses_is_pruned(client: Any, daemon: Daemon) -> None:
    client.images.get(daemon.busybox).tag("spare:1")
    found = client.images.prune(filters={"dangling": True})
    assert (found["ImagesDeleted"] or [], found["SpaceReclaimed"]) == ([], 0)
    assert client.images.get("spare:1")


def test_a_registry_is_asked_about_an_image(client: Any, daemon: Daemon) -> None:
    data = client.images.get_registry_data(daemon.busybox)
    assert data.id.startswith("sha256:")
    assert data.has_platform("linux/amd64")


def test_an_image_is_pushed_under_another_name(client: Any, daemon: Daemon) -> None:
    name = daemon.busybox.replace("/busybox:", "/pushed:")
    client.images.get(daemon.busybox).tag(name)
    told = list(client.images.push(name, stream=True, decode=True))
    assert told[-1]["aux"]["Tag"] == "latest"
    client.images.remove(name)
    assert client.images.pull(name.rpartition(":")[0], tag="latest").id == client.images.get(daemon.busybox).id
