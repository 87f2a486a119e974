"""Manifests and indexes: what is read from good ones, and what is said of bad ones."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.errors import CorruptContent, TransomError, Unsupported
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.model import Platform
from transom_images.manifests import Index, Manifest, parse_manifest

OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DIGEST = Digest.of(b"blob")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.sampled_from([DIGEST, CONFIG, LAYER]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def descriptor(media_type: Any, **changes: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": DIGEST, "size": 4} | changes


def manifest(**changes: Any) -> dict[str, Any]:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": descriptor(CONFIG),
        "layers": [descriptor(LAYER)],
    }
    return document | changes


def parse(document: Any, content_type: str = "") -> Manifest | Index:
    return parse_manifest(json.dumps(document).encode(), content_type)


def test_an_image_manifest_gives_its_configuration_and_layers() -> None:
    assert parse(manifest()) == Manifest(OCI, Descriptor(CONFIG, DIGEST, 4), (Descriptor(LAYER, DIGEST, 4),))


def test_an_index_gives_its_manifests_and_their_platforms() -> None:
    platform = {"os": "linux", "architecture": "arm", "variant": "v7", "os.features": ["x"]}
    index = parse({"schemaVersion": 2, "manifests": [descriptor(OCI, platform=platform), descriptor(OCI)]}, OCI_INDEX)
    assert isinstance(index, Index)
    assert [entry.platform for entry in index.entries] == [Platform("linux", "arm", "v7"), None]


def test_without_a_type_in_the_document_the_servers_type_counts() -> None:
    document = manifest()
    del document["mediaType"]
    assert parse(document, f"{DOCKER}; charset=utf-8").media_type == DOCKER
    assert parse(document, "").media_type == OCI


def test_a_document_that_is_both_an_image_and_an_index_is_refused() -> None:
    with pytest.raises(CorruptContent, match="both"):
        parse(manifest(manifests=[]))


@pytest.mark.parametrize(
    ("document", "content_type"),
    [
        ({"schemaVersion": 1, "name": "x", "fsLayers": []}, "application/json"),
        (manifest(mediaType=""), "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    ],
)
def test_dockers_first_schema_is_refused_with_a_remedy(document: Any, content_type: str) -> None:
    with pytest.raises(Unsupported, match=r"schema 1.*upgrade the image to the OCI Format"):
        parse(document, content_type)


def test_a_chart_is_not_an_image() -> None:
    helm = "application/vnd.cncf.helm.config.v1+json"
    with pytest.raises(Unsupported, match="not a container image") as caught:
        parse(manifest(config=descriptor(helm)))
    assert helm in str(caught.value)


def test_an_unknown_kind_of_layer_is_refused() -> None:
    with pytest.raises(Unsupported, match="application/x-floppy"):
        parse(manifest(layers=[descriptor("application/x-floppy")]))


@pytest.mark.parametrize(
    "document",
    [
        [],
        "text",
        manifest(schemaVersion=3),
        manifest(schemaVersion="2"),
        manifest(mediaType=7),
        manifest(config=None),
        manifest(layers={}),
        manifest(layers=[None]),
        manifest(config=descriptor(CONFIG, size=-1)),
        manifest(config=descriptor(CONFIG, size=True)),
        manifest(config=descriptor(CONFIG, size=1.5)),
        manifest(config=descriptor(CONFIG, size=1 << 63)),
        manifest(config=descriptor(CONFIG, digest="sha256:../../etc/passwd")),
        manifest(config=descriptor(CONFIG, digest="sha256:" + "A" * 64)),
        manifest(config=descriptor(CONFIG, digest=["sha256"])),
        manifest(config=descriptor(["x"])),
        {"schemaVersion": 2, "mediaType": OCI_INDEX},
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(OCI, platform="linux")]},
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(OCI, platform={"os": 1})]},
    ],
)
def test_nonsense_is_called_corrupt(document: Any) -> None:
    with pytest.raises(CorruptContent):
        parse(document)


def test_what_is_not_json_is_called_corrupt() -> None:
    for content in (b"", b"<html>", b"\xff", b"[" * 100_000, b'{"schemaVersion": NaN}'):
        with pytest.raises(CorruptContent):
            parse_manifest(content)


@given(st.dictionaries(st.sampled_from(["mediaType", "schemaVersion", "config", "layers", "manifests"]), JSON))
def test_no_document_breaks_the_parser(changes: dict[str, Any]) -> None:
    for document in (changes, manifest(**changes), manifest(config=changes), manifest(layers=[changes])):
        try:
            parse(document)
        except TransomError:
            pass


@given(st.binary(max_size=60))
def test_no_bytes_break_the_parser(content: bytes) -> None:
    with pytest.raises(TransomError):
        parse_manifest(content)
