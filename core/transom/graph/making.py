"""Making an image here: a layer from an archive that somebody writes, a configuration on top of a parent's.

`commit`, `import` and builds all come down to these: `pack` makes a blob of a layer archive, `derive` says what
the new image is, `describe` writes the manifest that goes with it (OCI image specification, manifest.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import orjson

from transom.graph.archive_size import SizeCounter
from transom.graph.archive_writer import END
from transom.graph.compression import GzipWriter
from transom.graph.content import ContentStore, Descriptor
from transom.graph.digest import Digest
from transom.graph.lease import Lease
from transom.graph.model import History, Image, Platform, RunConfig

__all__ = ["CONFIG_TYPE", "LAYER_TYPE", "MANIFEST_TYPE", "NewLayer", "derive", "describe", "oci_layer_type", "pack"]

CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
LAYER_TYPE: Final = "application/vnd.oci.image.layer.v1.tar"
_DOCKER_CONFIG_TYPE: Final = "application/vnd.docker.container.image.v1+json"
_DOCKER_MANIFEST_TYPE: Final = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_LAYER_TYPE: Final = "application/vnd.docker.image.rootfs.diff.tar"
_GZIP_LAYER_TYPE: Final = f"{LAYER_TYPE}+gzip"
#: The diff ID of a layer archive without entries.
_EMPTY: Final = Digest.of(END)
#: How much of an archive is digested and compressed at once, in bytes.
_BLOCK: Final = 1 << 19


@dataclass(frozen=True)
class NewLayer:
    """A layer that is to be the topmost of a new image. `size` is the bytes of its files and links, unpacked."""

    blob: Descriptor
    diff_id: Digest
    size: int = 0

    @classmethod
    def nothing(cls) -> NewLayer:
        """Return the layer that changes nothing, of which there is no blob."""
        return cls(Descriptor(LAYER_TYPE, _EMPTY, len(END)), _EMPTY)

    @property
    def empty(self) -> bool:
        """Whether nothing is in it, so that an image does without it."""
        return self.diff_id == _EMPTY


def pack(archive: Iterable[bytes], content: ContentStore, lease: Lease) -> NewLayer:
    """Store an uncompressed layer archive, compressed, as a blob that the lease keeps.

    Its size is right if the archive is one of ours (`archive_writer`).
    """
    found = hashlib.sha256()
    with content.draft() as draft, ThreadPoolExecutor(2, "transom-pack") as threads:
        writer = GzipWriter(draft.write)
        counter = SizeCounter()
        working: tuple[Future[None], ...] = ()
        for block in _blocks(archive):
            # One block is digested and compressed, without holding the interpreter, while the next one is read.
            for work in working:
                work.result()
            working = (threads.submit(found.update, block), threads.submit(writer.write, block))
            counter.feed(block)
        for work in working:
            work.result()
        writer.finish()
        layer = NewLayer(
            Descriptor(_GZIP_LAYER_TYPE, draft.digest, draft.size), Digest(f"sha256:{found.hexdigest()}"), counter.size
        )
        if not layer.empty:
            lease.keep_blob(layer.blob)
            draft.commit()
    return layer


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in larger pieces."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= _BLOCK:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def derive(
    parent: Image | None,
    layer: NewLayer | None,
    *,
    config: RunConfig,
    step: History,
    comment: str = "",
    platform: Platform | None = None,
    container: str = "",
) -> Image:
    """Return what the image is that a step makes of another one, or of nothing. Its ID is not known yet."""
    below = parent or Image(Digest(""), platform or Platform.here())
    added = () if layer is None or layer.empty else (layer,)
    return replace(
        below,
        id=Digest(""),
        platform=platform or below.platform,
        config=config,
        diff_ids=(*below.diff_ids, *(item.diff_id for item in added)),
        created=step.created,
        author=step.author,
        comment=comment,
        docker_version="",
        container=container,
        history=(*below.history, replace(step, empty_layer=not added)),
        blobs=(*below.blobs, *(item.blob.digest for item in added)),
        sizes=(*below.sizes, *(item.size for item in added)),
    )


def describe(
    config: Descriptor,
    layers: Sequence[Descriptor],
    annotations: Mapping[str, str] | None = None,
    *,
    docker: bool = False,
) -> tuple[Descriptor, bytes]:
    """Return the manifest of a configuration and its layers, lowest first, and what describes it.

    With `docker` it is Docker's image manifest version 2, schema 2, which has no layers in zstd.
    """
    media_type = _DOCKER_MANIFEST_TYPE if docker else MANIFEST_TYPE

    layer_type = _docker_layer_type if docker else oci_layer_type

    def fields(descriptor: Descriptor, media_type: str) -> dict[str, object]:
        return {"mediaType": media_type, "digest": str(descriptor.digest), "size": descriptor.size}

    content = orjson.dumps(
        {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": fields(config, _DOCKER_CONFIG_TYPE if docker else CONFIG_TYPE),
            "layers": [fields(layer, layer_type(layer.media_type)) for layer in layers],
            **({"annotations": dict(annotations)} if annotations else {}),
        }
    )
    return Descriptor(media_type, Digest.of(content), len(content)), content


def oci_layer_type(media_type: str) -> str:
    """Return the OCI media type of a layer that has this one, or Docker's for the same."""
    if media_type.startswith("application/vnd.oci."):
        return media_type
    return LAYER_TYPE + "".join(f"+{kind}" for kind in ("gzip", "zstd") if media_type.endswith(kind))


def _docker_layer_type(media_type: str) -> str:
    return f"{_DOCKER_LAYER_TYPE}.gzip" if media_type.endswith("gzip") else _DOCKER_LAYER_TYPE
