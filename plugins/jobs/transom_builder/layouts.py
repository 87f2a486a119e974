"""OCI layouts of the client's that hold a cache: directories with an index, manifests and blobs.

OCI image specification, image-layout.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from transom.errors import CorruptContent, InvalidParameter, NotFound
from transom.graph.archive import Entry, Kind
from transom.graph.archive_writer import END, encode_entry, padding
from transom.graph.content import ContentStore, Descriptor
from transom.graph.digest import Digest
from transom.graph.layout import INDEX, LAYOUT, LAYOUT_CONTENT, REFERENCE_NAME, blob_name
from transom.graph.lease import Lease
from transom.graph.making import MANIFEST_TYPE
from transom.runtime.syscalls.files import openat2
from transom_builder.contexts import read_file

__all__ = ["copy_blob", "find_manifest", "pack_layout", "read_blob"]

_CHUNK: Final = 1 << 20


def pack_layout(
    content: ContentStore, manifest: bytes, config: bytes, blobs: Iterable[Descriptor], check: Callable[[], None]
) -> Iterator[bytes]:
    """Yield a layout as an archive, in which `latest` is a manifest; its blobs come first, and the index last."""
    for blob in dict.fromkeys(blobs):
        yield encode_entry(Entry(blob_name(blob.digest).encode(), Kind.FILE, size=blob.size))
        with content.open(blob.digest) as file:
            while data := file.read(_CHUNK):
                check()
                yield data
        yield padding(blob.size)
    digest = Digest.of(manifest)
    described = {
        "mediaType": MANIFEST_TYPE,
        "digest": digest,
        "size": len(manifest),
        "annotations": {REFERENCE_NAME: "latest"},
    }
    index = orjson.dumps({"schemaVersion": 2, "manifests": [described]})
    yield from _small(blob_name(Digest.of(config)), config)
    yield from _small(blob_name(digest), manifest)
    yield from _small(LAYOUT, orjson.dumps(LAYOUT_CONTENT))
    yield from _small(INDEX, index)
    yield END


def _small(name: str, content: bytes) -> Iterator[bytes]:
    yield encode_entry(Entry(name.encode(), Kind.FILE, size=len(content)))
    yield content
    yield padding(len(content))


def find_manifest(root: Path, *, tag: str = "", digest: str = "") -> bytes:
    """Return the manifest of a layout that has a tag, `latest` where nothing is said, or a digest.

    Raises `NotFound`, and `CorruptContent` for nonsense.
    """
    if not digest:
        wanted = tag or "latest"
        found = [digest for digest, name in _entries(root) if name == wanted]
        if not found:
            raise NotFound(f"the layout has no {wanted} in its {INDEX}")
        digest = found[-1]
    return read_blob(root, Digest.parse(digest))


def _entries(root: Path) -> list[tuple[str, Any]]:
    """Return the digests of the manifests, and their tags."""
    try:
        entries = orjson.loads(_read(root, INDEX))["manifests"]
        return [(str(item["digest"]), dict(item.get("annotations") or {}).get(REFERENCE_NAME)) for item in entries]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptContent(f"the layout's {INDEX} cannot be read: {error}") from error


def _read(root: Path, name: str) -> bytes:
    try:
        return read_file(root, name)
    except InvalidParameter as error:
        raise NotFound(f"the layout has no {name}") from error


def read_blob(root: Path, digest: Digest) -> bytes:
    """Return a small blob of a layout, verified. Raises `NotFound` and `CorruptContent`."""
    content = _read(root, blob_name(digest))
    if Digest.of(content) != digest:
        raise CorruptContent(f"the layout's blob {digest} is damaged")
    return content


def copy_blob(root: Path, blob: Descriptor, content: ContentStore, lease: Lease, check: Callable[[], None]) -> None:
    """Copy a blob of a layout into the content store, where the lease keeps it. Raises as `read_blob`."""
    if lease.keep_if_known(blob.digest) and content.has(blob.digest):
        return
    lease.keep_blob(blob)
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = openat2(top, "/" + blob_name(blob.digest), os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise NotFound(f"the layout has no blob {blob.digest}") from error
    finally:
        os.close(top)
    with open(descriptor, "rb") as file, content.ingest(blob.digest, blob.size, check) as ingest:
        if not ingest.present:
            ingest.reset()
            while data := file.read(_CHUNK):
                check()
                ingest.write(data)
            ingest.commit()
