"""The job `image_save`: images as an archive that every engine reads.

The archive is an OCI image layout (image-layout.md) with `manifest.json` and `repositories` beside it, where
older readers look. The blobs are those that the images were pulled with, byte for byte, so that digests stay
what they are. The same images give the same archive.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import orjson

from transom.engine import Engine
from transom.errors import InvalidParameter, NotFound
from transom.graph.archive import Entry, Kind
from transom.graph.archive_writer import END, encode_entry, padding
from transom.graph.content import ContentStore, Descriptor
from transom.graph.digest import Digest
from transom.graph.layout import (
    DOCKER_MANIFEST,
    INDEX,
    LAYOUT,
    LAYOUT_CONTENT,
    REFERENCE_NAME,
    REPOSITORIES,
    WHOLE_NAME,
    blob_name,
)
from transom.graph.model import Image, Platform
from transom.graph.reference import Reference
from transom.job import Job
from transom_images.listing import find_image

__all__ = ["image_save"]

_CHUNK = 1 << 20
_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


@dataclass
class _Saved:
    """An image that is to be saved, and those of its names that were asked for."""

    image: Image
    manifest: Descriptor
    tags: list[Reference] = field(default_factory=list)


def image_save(
    engine: Engine, job: Job, *, names: tuple[str, ...], output: IO[bytes], platform: Platform | None = None
) -> None:
    """Write images to `output` as an uncompressed archive.

    A name is a reference, an ID or the beginning of one, or a repository, which stands for all its tags. What is
    named by its ID or a digest has no name in the archive. Raises `NotFound`, also if an image is for another
    platform than is asked for; what is there is written only if all of it is.
    """
    if not names:
        raise InvalidParameter("no image to save: give at least one name")
    with engine.images.lease(f"save {secrets.token_hex(8)}", resumable=False) as lease:
        saved: dict[Digest, _Saved] = {}
        for name in names:
            for image, tag in _resolve(engine, name, platform):
                found = saved.get(image.id)
                if found is None:
                    engine.images.keep(image, lease)
                    found = saved[image.id] = _Saved(image, engine.images.manifest(image))
                if tag is not None and tag not in found.tags:
                    found.tags.append(tag)
        _write(job, engine.content, list(saved.values()), output)
    for image_id in saved:
        engine.events.record("image", "save", image_id, {**saved[image_id].image.config.labels, "name": image_id})


def _resolve(engine: Engine, name: str, platform: Platform | None) -> list[tuple[Image, Reference | None]]:
    """Return the images that a name stands for, each with the tag that it is meant by."""
    images = engine.images
    try:
        reference: Reference | None = Reference.parse(name)
    except InvalidParameter:
        # A whole ID is no reference.
        reference = None
    if reference is not None and reference.tag is None and reference.digest is None:
        tags = images.repository(reference)
        if tags:
            return [(find_image(engine, tag.familiar, platform), tag) for tag in tags]
        try:
            images.get(name)
        except NotFound:
            # All of a repository was asked for, and not its tag `latest`.
            raise NotFound(f"No such image: {name}") from None
    image = find_image(engine, name, platform)
    named = reference is not None and reference.digest is None and reference.tagged() in images.tags(image)
    return [(image, reference.tagged() if named and reference else None)]


def _write(job: Job, content: ContentStore, saved: list[_Saved], output: IO[bytes]) -> None:
    digests = {digest for item in saved for digest in (item.image.id, item.manifest.digest, *item.image.blobs)}
    for digest in digests:
        if not content.has(digest):
            raise NotFound(f"cannot save: the blob {digest} is not in the content store: pull its image again")
    documents = _documents(saved)
    members: list[tuple[str, bytes | Digest | None]] = [("blobs/", None)]
    members += [(f"blobs/{algorithm}/", None) for algorithm in sorted({digest.algorithm for digest in digests})]
    members += [(blob_name(digest), digest) for digest in digests]
    members += documents.items()
    for name, member in sorted(members, key=lambda member: member[0]):
        job.check()
        if member is None:
            output.write(encode_entry(Entry(name.encode(), Kind.DIRECTORY, 0o755)))
        elif isinstance(member, Digest):
            _copy(content, member, name, output)
        else:
            output.write(_head(name, len(member)) + member + padding(len(member)))
    output.write(END)


def _copy(content: ContentStore, digest: Digest, name: str, output: IO[bytes]) -> None:
    with content.open(digest) as blob:
        size = content.size(digest)
        output.write(_head(name, size))
        while chunk := blob.read(_CHUNK):
            output.write(chunk)
        output.write(padding(size))


def _head(name: str, size: int) -> bytes:
    return encode_entry(Entry(name.encode(), Kind.FILE, size=size))


def _documents(saved: list[_Saved]) -> Mapping[str, bytes]:
    """Return the files of the archive that say what is in it."""
    repositories: dict[str, dict[str, str]] = {}
    for item in saved:
        for tag in item.tags:
            if item.image.blobs:
                repositories.setdefault(tag.familiar_name, {})[tag.tag or ""] = item.image.blobs[-1].hex
    index = {
        "schemaVersion": 2,
        "mediaType": _INDEX_TYPE,
        "manifests": [entry for item in saved for entry in _index_entries(item)],
    }
    documents: dict[str, Any] = {
        DOCKER_MANIFEST: [
            {
                "Config": blob_name(item.image.id),
                "RepoTags": [tag.familiar for tag in item.tags] or None,
                "Layers": [blob_name(blob) for blob in item.image.blobs],
            }
            for item in saved
        ],
        INDEX: index,
        LAYOUT: LAYOUT_CONTENT,
    }
    if repositories:
        documents[REPOSITORIES] = repositories
    return {name: orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE) for name, document in documents.items()}


def _index_entries(item: _Saved) -> Iterable[dict[str, Any]]:
    """Yield the image's entries in the index, one for each name that it has there."""
    described = {
        "mediaType": item.manifest.media_type,
        "digest": item.manifest.digest,
        "size": item.manifest.size,
    }
    if not item.tags:
        yield described
    for tag in item.tags:
        yield {**described, "annotations": {WHOLE_NAME: str(tag), REFERENCE_NAME: tag.tag}}
