"""What is said of steps in caches, and the layouts that they are kept in: read again as it was, and never believed."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.errors import CorruptContent, TransomError
from transom.graph.build_cache import CachedStep
from transom.graph.content import ContentStore, Descriptor
from transom.graph.db import GraphDB
from transom.graph.digest import Digest
from transom.graph.lease import Lease
from transom.graph.making import LAYER_TYPE, NewLayer
from transom_builder.cache_records import KeptStep, annotate, describe_cache, read_annotation, read_cache
from transom_builder.layouts import copy_blob, find_manifest, pack_layout

LAYER = b"a layer"
BLOB = Descriptor(LAYER_TYPE, Digest.of(LAYER), len(LAYER))
MADE = "2024-01-01T00:00:00Z"
STEPS = (
    KeptStep("k1", "", CachedStep(NewLayer(BLOB, Digest.of(b"archive"), 7), MADE), "RUN make"),
    KeptStep("k2", "k1", CachedStep(NewLayer.nothing(), MADE), "RUN true"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(str(Digest.of(b""))),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("version", "steps", "rootfs", "diff_ids", "layers", "annotations", "key")), inner
        )
    ),
    max_leaves=12,
)


@contextmanager
def stored(root: Path) -> Iterator[tuple[ContentStore, Lease]]:
    """Give a content store and a lease."""
    root.mkdir(exist_ok=True)
    db = GraphDB(root / "graph.db")
    try:
        yield ContentStore(root / "content"), Lease(db, "test", resumable=False)
    finally:
        db.close()


def test_a_cache_tells_what_was_told_to_it() -> None:
    config, manifest, blobs = describe_cache(STEPS)
    assert blobs == (BLOB,)
    assert read_cache(json.loads(manifest), config) == {step.key: step for step in STEPS}


def test_an_image_tells_of_the_steps_whose_layers_it_has() -> None:
    layers = [{"mediaType": LAYER_TYPE, "digest": str(BLOB.digest), "size": BLOB.size}]
    manifest: dict[str, Any] = {"annotations": annotate(STEPS), "layers": layers}
    config = json.dumps({"rootfs": {"diff_ids": [str(Digest.of(b"archive"))]}}).encode()
    assert read_annotation(manifest, config) == {step.key: step for step in STEPS}
    config = json.dumps({"rootfs": {"diff_ids": [str(Digest.of(b"another"))]}}).encode()
    assert list(read_annotation(manifest, config)) == ["k2"]
    assert read_annotation({"layers": []}, config) == {}


@pytest.mark.parametrize(
    "change", [{"mediaType": "application/vnd.oci.evil"}, {"size": -1}, {"size": "1"}, {"digest": "sha256:../.."}]
)
def test_a_layer_that_is_none_is_refused(change: dict[str, Any]) -> None:
    config, content, _ = describe_cache(STEPS)
    manifest = json.loads(content)
    manifest["layers"][0] |= change
    with pytest.raises(CorruptContent):
        read_cache(manifest, config)


@given(manifest=st.dictionaries(st.sampled_from(("layers", "annotations", "config")), JSON), config=JSON)
def test_nonsense_is_an_error_and_nothing_else(manifest: dict[str, Any], config: Any) -> None:
    content = json.dumps(config).encode()
    for read in (read_cache, read_annotation):
        try:
            read(manifest, content)
        except CorruptContent:
            pass


def test_a_layout_that_was_packed_is_found_again(tmp_path: Path) -> None:
    with stored(tmp_path) as (content, lease), stored(tmp_path / "other") as (other, its):
        lease.keep_blob(BLOB)
        with content.ingest(BLOB.digest, BLOB.size) as ingest:
            ingest.write(LAYER)
            ingest.commit()
        config, manifest, blobs = describe_cache(STEPS)
        packed = b"".join(pack_layout(content, manifest, config, blobs, lambda: None))
        root = tmp_path / "layout"
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(root, filter="data")
        assert json.loads((root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
        assert find_manifest(root) == find_manifest(root, digest=str(Digest.of(manifest))) == manifest
        copy_blob(root, BLOB, other, its, lambda: None)
        assert other.read(BLOB.digest, 100) == LAYER
        (root / f"blobs/sha256/{BLOB.digest.hex}").write_bytes(b"other!!")
        other.remove(BLOB.digest)
        with pytest.raises(CorruptContent):
            copy_blob(root, BLOB, other, its, lambda: None)


@pytest.mark.parametrize("index", ["", "[]", "{}", '{"manifests": 1}', '{"manifests": ["x"]}', '{"manifests": [{}]}'])
def test_a_layout_with_an_index_of_nonsense(tmp_path: Path, index: str) -> None:
    (tmp_path / "index.json").write_text(index)
    with pytest.raises(CorruptContent, match=r"index.json cannot be read"):
        find_manifest(tmp_path)


def test_a_layout_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(LAYER)
    root = tmp_path / "layout"
    (root / "blobs/sha256").mkdir(parents=True)
    (root / f"blobs/sha256/{BLOB.digest.hex}").symlink_to(tmp_path / "outside")
    with stored(tmp_path) as (content, lease), pytest.raises(TransomError):
        copy_blob(root, BLOB, content, lease, lambda: None)
