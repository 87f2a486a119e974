"""Layers in another compression are the same layers, and a compression that is not there is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from transom.errors import InvalidParameter
from transom.graph.compression import decompress
from transom.graph.content import ContentStore, Descriptor
from transom.graph.db import GraphDB
from transom.graph.digest import Digest
from transom.graph.lease import Lease
from transom.graph.making import LAYER_TYPE
from transom.graph.recompression import Compression, recompress

ARCHIVE = b"".join(b"line %d of an archive\n" % number for number in range(20_000))


@pytest.fixture
def store(tmp_path: Path):
    """A content store, and a lease."""
    db = GraphDB(tmp_path / "graph.db")
    yield ContentStore(tmp_path / "content"), Lease(db, "test", resumable=False)
    db.close()


@pytest.fixture
def plain(store) -> Descriptor:
    """An archive that is not compressed."""
    content, lease = store
    blob = Descriptor(LAYER_TYPE, Digest.of(ARCHIVE), len(ARCHIVE))
    lease.keep_blob(blob)
    with content.ingest(blob.digest, blob.size) as ingest:
        ingest.write(ARCHIVE)
        ingest.commit()
    return blob


@pytest.mark.parametrize("level", [None, 1, 9])
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_what_is_compressed_is_the_same_layer(store, plain: Descriptor, kind: str, level: int | None) -> None:
    content, lease = store
    packed = recompress(content, plain, Compression(kind, level), lease, lambda: None)
    assert packed.media_type == f"{LAYER_TYPE}+{kind}"
    assert packed.size < plain.size
    with content.open(packed.digest) as file:
        assert decompress(file).read() == ARCHIVE
    assert recompress(content, packed, Compression("uncompressed"), lease, lambda: None) == plain
    assert packed.digest in lease.blobs()


def test_what_has_the_compression_stays_as_it_is(store, plain: Descriptor) -> None:
    content, lease = store
    assert recompress(content, plain, Compression("uncompressed"), lease, lambda: None) is plain


@pytest.mark.parametrize(
    ("kind", "level"), [("lz4", None), ("gzip", 10), ("zstd", 23), ("uncompressed", 0), ("gzip", -1)]
)
def test_what_there_is_not_is_refused(kind: str, level: int | None) -> None:
    with pytest.raises(InvalidParameter):
        Compression(kind, level)


def test_an_error_leaves_no_blob(store, plain: Descriptor, tmp_path: Path) -> None:
    def stop() -> None:
        raise InterruptedError

    content, lease = store
    with pytest.raises(InterruptedError):
        recompress(content, plain, Compression("zstd"), lease, stop)
    assert [path.name for path in (tmp_path / "content/blobs/sha256").iterdir()] == [plain.digest.hex]
    assert list((tmp_path / "content/ingest").iterdir()) == []
