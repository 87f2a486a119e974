"""What clients of older versions of the API get, and what they mean."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from transom.containers.model import Container, ContainerConfig, HostConfig, State
from transom.graph.digest import Digest
from transom.graph.images import ImageDetails, ImageSummary
from transom.graph.model import Image, Platform, RunConfig

IMAGE = Digest("sha256:" + "a" * 64)


@pytest.fixture
def details() -> ImageDetails:
    image = Image(IMAGE, Platform("linux", "amd64"), RunConfig(cmd=("sh",)))
    return ImageDetails(image, tags=(), digests=(), last_tagged=0, graphdriver="overlay", layer="")


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("1.24", {"Container", "ContainerConfig", "Created", "VirtualSize"}),
        ("1.43", {"Container", "ContainerConfig", "Created", "VirtualSize"}),
        ("1.44", {"Container", "ContainerConfig"}),
        ("1.45", set()),
        ("1.50", set()),
    ],
)
def test_an_image_has_the_fields_of_its_clients_version(api, engine, details, version, fields):
    engine.results["image_inspect"] = details
    shown = api.get(f"/v{version}/images/x/json").json
    assert {"Container", "ContainerConfig", "Created", "VirtualSize"} & set(shown) == fields
    if "ContainerConfig" in fields:
        assert (shown["Container"], shown["ContainerConfig"]["Volumes"], shown["ContainerConfig"]["Cmd"]) == (
            "",
            None,
            None,
        )
    if "Created" in fields:
        assert shown["Created"] == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(("version", "old"), [("1.49", True), ("1.50", False)])
def test_an_images_configuration_has_what_never_meant_anything_for_those_who_expect_it(
    api, engine, details, version, old
):
    engine.results["image_inspect"] = details
    assert ("Hostname" in api.get(f"/v{version}/images/x/json").json["Config"]) is old


@pytest.mark.parametrize(
    ("version", "tags", "has_virtual_size"),
    [("1.42", ["<none>:<none>"], True), ("1.43", [], True), ("1.44", [], False)],
)
def test_images_without_a_name_are_listed_as_the_version_does(api, engine, version, tags, has_virtual_size):
    image = ImageSummary(IMAGE, tags=(), digests=(), created=0, size=5, containers=0)
    engine.results["image_list"] = (image,)
    [shown] = api.get(f"/v{version}/images/json").json
    assert (shown["RepoTags"], "VirtualSize" in shown) == (tags, has_virtual_size)


@pytest.mark.parametrize(("version", "filters"), [("1.40", {"reference": ("busy*",)}), ("1.41", {})])
def test_images_were_filtered_by_one_name_before(api, engine, version, filters):
    engine.results["image_list"] = ()
    api.get(f"/v{version}/images/json?filter=busy*")
    assert engine.jobs[0].parameters["filters"] == filters


@pytest.mark.parametrize(("version", "removed"), [("1.24", False), ("1.25", True)])
def test_clients_have_removed_containers_themselves(api, engine, version, removed):
    engine.results["create"] = SimpleNamespace(id="c", warnings=())
    api.post(f"/v{version}/containers/create", {"Image": "x", "HostConfig": {"AutoRemove": True}})
    assert engine.jobs[0].parameters["host"].auto_remove is removed


@pytest.mark.parametrize(("version", "told"), [("1.45", False), ("1.46", True)])
def test_annotations_are_listed_for_those_who_know_them(api, engine, version, told):
    engine.results["container_list"] = (
        Container(
            id="c" * 64, name="web", created=0, image=IMAGE, config=ContainerConfig("x", RunConfig()),
            host=HostConfig(annotations={"a": "b"}), graphdriver="overlay", execdriver="namespaces", network="none",
            log_driver="json-file", mounts=(), state=State(),
        ),
    )  # fmt: skip
    [shown] = api.get(f"/v{version}/containers/json").json
    assert ("Annotations" in shown["HostConfig"]) is told
