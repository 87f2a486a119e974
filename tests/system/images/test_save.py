"""Saving images as archives."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import Any

import pytest

from testbed.image_archives import ImageParts, docker_archive, layer, oci_layout, pack
from transom.engine import Engine
from transom.errors import InvalidParameter, NotFound
from transom.graph.digest import Digest
from transom.graph.model import Platform

ONE, TWO = layer("one"), gzip.compress(layer("two"), mtime=0)
APP = ImageParts([ONE, TWO], ["app:1", "app:2", "host:5000/team/app:1"], labels={"key": "value"})
OTHER = ImageParts([ONE], ["other:latest"])


@pytest.fixture
def images(engine: Engine) -> Engine:
    """An engine with two images that have a layer in common."""
    engine.job("image_load", input=io.BytesIO(pack(oci_layout(APP, OTHER)))).run()
    return engine


def save(engine: Engine, *names: str, **parameters: Any) -> bytes:
    output = io.BytesIO()
    engine.job("image_save", names=names, output=output, **parameters).run()
    return output.getvalue()


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name: tar.extractfile(member) for member in tar}
    return {name: file.read() for name, file in files.items() if file is not None}


def names(archive: bytes) -> dict[str, list[str]]:
    """The names of each image in an archive, by its configuration, as both of its documents have them."""
    found = members(archive)
    docker = {item["Config"]: item["RepoTags"] or [] for item in json.loads(found["manifest.json"])}
    index: dict[str, list[str]] = {}
    for entry in json.loads(found["index.json"])["manifests"]:
        manifest = json.loads(found["blobs/" + entry["digest"].replace(":", "/")])
        tags = index.setdefault("blobs/" + manifest["config"]["digest"].replace(":", "/"), [])
        if "annotations" in entry:
            tags.append(entry["annotations"]["io.containerd.image.name"].removeprefix("docker.io/library/"))
    assert index == docker
    return {path.rpartition("/")[2]: tags for path, tags in docker.items()}


def test_an_archive_has_all_blobs_byte_for_byte(images: Engine) -> None:
    found = members(save(images, "app:1"))
    blobs = [ONE, TWO, APP.config, APP.manifest]
    assert {name for name in found if name.startswith("blobs/")} == {
        f"blobs/sha256/{Digest.of(content).hex}" for content in blobs
    }
    assert all(found[f"blobs/sha256/{Digest.of(content).hex}"] == content for content in blobs)
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (item,) = json.loads(found["manifest.json"])
    assert item["Layers"] == [f"blobs/sha256/{Digest.of(content).hex}" for content in (ONE, TWO)]
    assert json.loads(found["repositories"]) == {"app": {"1": Digest.of(TWO).hex}}


def test_the_same_images_give_the_same_archive(images: Engine) -> None:
    archive = save(images, "app:1", "other")
    assert save(images, "app:1", "other") == archive
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        listed = list(tar)
    assert [member.name for member in listed] == sorted(member.name for member in listed)
    assert {(member.mtime, member.uid, member.gid) for member in listed} == {(0, 0, 0)}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["app:1"], {APP.id.hex: ["app:1"]}),
        (["app"], {APP.id.hex: ["app:1", "app:2"]}),
        (["app:2", "app", "host:5000/team/app"], {APP.id.hex: ["app:2", "app:1", "host:5000/team/app:1"]}),
        ([APP.id], {APP.id.hex: []}),
        ([APP.id.hex], {APP.id.hex: []}),
        ([APP.id.hex[:12]], {APP.id.hex: []}),
        ([APP.id, "app:1"], {APP.id.hex: ["app:1"]}),
        (["other", "app:1"], {OTHER.id.hex: ["other:latest"], APP.id.hex: ["app:1"]}),
    ],
)
def test_images_have_the_names_that_they_are_asked_for_by(
    images: Engine, wanted: list[str], expected: dict[str, list[str]]
) -> None:
    assert names(save(images, *wanted)) == expected


def test_what_was_saved_is_loaded_as_it_was(images: Engine) -> None:
    archive = save(images, "app:1", "other")
    before = images.images.get("app:1"), images.images.get("other")
    for image in images.images.list():
        images.run("image_remove", name=image.id, force=True)
    assert images.images.list() == ()
    images.job("image_load", input=io.BytesIO(archive)).run()
    assert (images.images.get("app:1"), images.images.get("other")) == before
    assert save(images, "app:1", "other") == archive


def test_an_image_from_dockers_format_gets_a_manifest(engine: Engine) -> None:
    engine.job("image_load", input=io.BytesIO(pack(docker_archive(OTHER)))).run()
    assert names(save(engine, "other")) == {OTHER.id.hex: ["other:latest"]}


def test_saving_is_an_event(images: Engine) -> None:
    save(images, "app")
    past, _ = images.events.subscribe(lambda _: None, since=0)
    assert [(event.action, event.id, event.attributes) for event in past if event.action == "save"] == [
        ("save", APP.id, {"key": "value", "name": APP.id})
    ]


@pytest.mark.parametrize("wanted", [["nope"], ["app:3"], ["app:1", "nope"], ["sha256:" + "0" * 64], ["0" * 64]])
def test_nothing_is_written_if_one_of_the_images_is_not_there(images: Engine, wanted: list[str]) -> None:
    output = io.BytesIO()
    with pytest.raises(NotFound, match="No such image: "):
        images.job("image_save", names=tuple(wanted), output=output).run()
    assert output.getvalue() == b""
    assert images.db.list("lease") == ()


def test_a_name_is_needed(images: Engine) -> None:
    with pytest.raises(InvalidParameter, match="at least one name"):
        save(images)


def test_an_image_for_another_platform_is_not_saved(images: Engine) -> None:
    assert names(save(images, "app:1", platform=Platform("linux", "amd64")))
    with pytest.raises(NotFound, match="does not match the specified platform"):
        save(images, "app", platform=Platform("linux", "arm64"))


def test_an_image_that_is_removed_meanwhile_is_saved_all_the_same(images: Engine) -> None:
    whole = save(images, "app")

    class Removing(io.BytesIO):
        def write(self, data: Any) -> int:
            if not self.tell():
                images.run("image_remove", name=APP.id, force=True)
            return super().write(data)

    output = Removing()
    images.job("image_save", names=("app",), output=output).run()
    assert output.getvalue() == whole
    images.images.collect_garbage()
    assert set(images.content.list()) == {Digest.of(content) for content in (ONE, OTHER.config, OTHER.manifest)}
