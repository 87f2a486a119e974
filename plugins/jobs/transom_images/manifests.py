"""Manifests and indexes: what a registry says that an image consists of.

OCI image specification, manifest.md and image-index.md; Docker's image manifest version 2, schema 2. They
come from strangers: each field is checked before it is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from transom.errors import CorruptContent, InvalidParameter, NotFound, Unsupported
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.model import Platform
from transom.graph.platforms import compatible, normalize

__all__ = ["ACCEPTED", "LIMIT", "Entry", "FirstSchema", "Index", "Manifest", "choose", "elsewhere", "parse_manifest"]

#: The most bytes that a manifest has (OCI distribution specification, "Pushing Manifests").
LIMIT = 4 << 20

_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"

#: The media types to ask a registry for.
ACCEPTED = (_OCI_INDEX, _DOCKER_LIST, _OCI_MANIFEST, _DOCKER_MANIFEST)

# Before media types were in use, registries stored configurations as any of these.
_CONFIGURATIONS = frozenset(
    (
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/octet-stream",
        "text/html",
        "",
    )
)
_LAYERS = frozenset(
    (
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    )
)


class FirstSchema(Unsupported):
    """A manifest is in Docker's first format, which nobody supports any more; said in Docker's words."""

    def __init__(self, image: str) -> None:
        super().__init__(
            "[DEPRECATION NOTICE] Docker Image Format v1 and Docker Image manifest version 2, schema 1 support is"
            f" disabled by default and will be removed in an upcoming release. Suggest the author of {image} to upgrade"
            " the image to the OCI Format or Docker Image manifest v2, schema 2. More information at"
            " https://docs.docker.com/go/deprecated-image-specs/"
        )


@dataclass(frozen=True)
class Entry:
    """One manifest of an index, and the platform that it is for, if the index says it."""

    manifest: Descriptor
    platform: Platform | None = None


@dataclass(frozen=True)
class Manifest:
    """One image for one platform: its configuration and its layers, lowest first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True)
class Index:
    """One image for several platforms: a manifest for each."""

    media_type: str
    entries: tuple[Entry, ...]


def parse_manifest(content: bytes, content_type: str = "") -> Manifest | Index:
    """Return what a registry gave as a manifest, which it called `content_type`.

    Raises `CorruptContent` for nonsense, and `Unsupported` for something other than a container image:
    Docker's first schema, a chart, a signature.
    """
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise CorruptContent(f"the manifest is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise CorruptContent("the manifest is not a JSON object")
    named = document.get("mediaType", "")
    if not isinstance(named, str):
        raise CorruptContent("the manifest's mediaType is not a string")
    media_type = named or content_type.partition(";")[0].strip()
    if document.get("schemaVersion") == 1 or media_type.startswith(_SCHEMA_1):
        raise FirstSchema("the image")
    if document.get("schemaVersion") != 2:
        raise CorruptContent(f"the manifest has the schemaVersion {document.get('schemaVersion')!r} instead of 2")
    # A document that can be read as both would be another image for each reader (CVE-2021-41190).
    if "manifests" in document and ("layers" in document or "config" in document):
        raise CorruptContent("the manifest claims to be both an image and an index")
    if media_type in (_OCI_INDEX, _DOCKER_LIST) or (not named and "manifests" in document):
        return _index(document, media_type)
    if media_type in (_OCI_MANIFEST, _DOCKER_MANIFEST) or (not named and "layers" in document):
        return _manifest(document, media_type)
    raise Unsupported(f"the manifest is of the type {media_type!r}, which is not a container image")


def choose(index: Index, wanted: Platform) -> Descriptor:
    """Return the index's manifest that suits a platform best. Raises `NotFound`."""
    ranks = {platform: rank for rank, platform in enumerate(compatible(wanted))}
    suitable = [
        (ranks[platform] if platform else len(ranks), position, entry.manifest)
        for position, entry in enumerate(index.entries)
        for platform in [normalize(entry.platform) if entry.platform else None]
        if platform is None or platform in ranks
    ]
    if not suitable:
        raise NotFound(f"no matching manifest for {normalize(wanted)} in the manifest list entries")
    return min(suitable)[2]


def elsewhere(content: bytes) -> frozenset[Digest]:
    """Return which layers of a manifest are to be fetched from other places, and so are never pushed ("foreign")."""
    layers = orjson.loads(content)["layers"]
    return frozenset(Digest.parse(layer["digest"]) for layer in layers if layer.get("urls"))


def _index(document: dict[str, Any], media_type: str) -> Index:
    entries = _list(document.get("manifests"), "manifests")
    return Index(
        media_type or _OCI_INDEX,
        tuple(_entry(entry, f"manifests[{position}]") for position, entry in enumerate(entries)),
    )


def _manifest(document: dict[str, Any], media_type: str) -> Manifest:
    config = _descriptor(document.get("config"), "config")
    if config.media_type not in _CONFIGURATIONS:
        raise Unsupported(
            f'Encountered remote "{config.media_type}"(unknown) when fetching: it is not a container image'
        )
    entries = _list(document.get("layers"), "layers")
    layers = tuple(_descriptor(entry, f"layers[{position}]") for position, entry in enumerate(entries))
    for layer in layers:
        if layer.media_type not in _LAYERS:
            raise Unsupported(f"the layer {layer.digest} is of the type {layer.media_type!r}, which is not supported")
    return Manifest(media_type or _OCI_MANIFEST, config, layers)


def _entry(value: Any, where: str) -> Entry:
    manifest = _descriptor(value, where)
    return Entry(manifest, _platform(value.get("platform"), where))


def _descriptor(value: Any, where: str) -> Descriptor:
    if not isinstance(value, dict):
        raise CorruptContent(f"the manifest's {where} is not an object")
    media_type, digest, size = value.get("mediaType", ""), value.get("digest"), value.get("size")
    if not isinstance(media_type, str):
        raise CorruptContent(f"the manifest's {where}.mediaType is not a string")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 63:
        raise CorruptContent(f"the manifest's {where}.size is not a number of bytes")
    try:
        parsed = Digest.parse(digest if isinstance(digest, str) else "")
    except InvalidParameter as error:
        raise CorruptContent(f"the manifest's {where}.digest is not a digest: {digest!r:.200}") from error
    return Descriptor(media_type, parsed, size)


def _platform(value: Any, where: str) -> Platform | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise CorruptContent(f"the manifest's {where}.platform is not an object")
    parts = [value.get(name) or "" for name in ("os", "architecture", "variant")]
    if not all(isinstance(part, str) for part in parts):
        raise CorruptContent(f"the manifest's {where}.platform is not made of strings")
    return Platform(*parts)


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise CorruptContent(f"the manifest's {where} is not a list")
    return value
