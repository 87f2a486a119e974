"""The images of an archive: which there are, what they are made of, and what they are called.

An OCI layout says it in its index, Docker's format in `manifest.json`. Where both are there, the index is read,
since it has the digests that the images have in registries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from transom.errors import CorruptContent, InvalidParameter, NotFound, Unsupported
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.image_config import parse_config
from transom.graph.layout import (
    DOCKER_MANIFEST,
    INDEX,
    LAYOUT,
    REFERENCE_NAME,
    REPOSITORIES,
    WHOLE_NAME,
    blob_name,
)
from transom.graph.making import CONFIG_TYPE, LAYER_TYPE, describe
from transom.graph.model import Image, Platform
from transom.graph.platforms import compatible, normalize
from transom.graph.reference import Reference
from transom_images.manifests import LIMIT, Entry, Index, choose, parse_manifest
from transom_images.members import Member, Members

__all__ = ["Offer", "choose_offer", "find_offers"]

#: How many indexes may stand between the layout's own and a manifest.
_MOST_INDEXES: Final = 4
#: The first bytes of a compressed layer, and what its media type ends with.
_COMPRESSED: Final = {b"\x1f\x8b": "+gzip", b"\x28\xb5\x2f\xfd": "+zstd"}


@dataclass(frozen=True)
class Offer:
    """One image of an archive. `layers` are the files of its layers, lowest first, each with its description."""

    image: Image
    config: bytes
    manifest: Descriptor
    manifest_content: bytes
    layers: tuple[tuple[Member, Descriptor], ...]
    names: tuple[Reference, ...]


def find_offers(members: Members, platform: Platform | None) -> list[Offer]:
    """Return the images of an archive, each once, with all its names; those for one platform if it is given.

    Raises `CorruptContent`, `Unsupported` for what is no container image or of a format that is no longer in use,
    `NotFound` if there is none for the platform.
    """
    if members.find(LAYOUT) is not None and members.find(INDEX) is not None:
        offers = _from_index(members, platform)
    elif members.find(DOCKER_MANIFEST) is not None:
        offers = _from_docker_manifest(members)
    elif members.find(REPOSITORIES) is not None:
        raise Unsupported(
            "the archive is in the format of Docker versions before 1.10, which is no longer supported: load it with"
            " an older Docker and save it again"
        )
    else:
        raise CorruptContent(f"it has neither {INDEX} nor {DOCKER_MANIFEST}, so it is no archive of images")
    united: dict[Digest, Offer] = {}
    for offer in offers:
        _check_platform(offer.image, platform)
        same = united.get(offer.image.id, offer)
        names = dict.fromkeys((*same.names, *offer.names)) if same is not offer else dict.fromkeys(offer.names)
        united[offer.image.id] = Offer(
            same.image, same.config, same.manifest, same.manifest_content, same.layers, tuple(names)
        )
    return list(united.values())


def choose_offer(members: Members, platform: Platform | None, chosen: str) -> Offer:
    """Return one image of an OCI layout, without a name: that of a tag or digest, `latest` or the only one for none.

    Raises `CorruptContent`, `Unsupported`, and `NotFound` if it is not there.
    """
    described = tuple(_entries(members))
    found = [entry for entry, notes in described if _is_called(entry, notes, chosen or "latest")]
    if not found and not chosen and len(described) == 1:
        found = [described[0][0]]
    if not found:
        raise NotFound(f"oci-layout reference {chosen or 'latest'!r} could not be resolved: it is not in {INDEX}")
    offer = _from_descriptor(members, found[0].manifest, (), platform)
    _check_platform(offer.image, platform)
    return offer


def _is_called(entry: Entry, annotations: Any, name: str) -> bool:
    """Whether an entry of an index has a tag or a digest."""
    given = annotations if isinstance(annotations, Mapping) else {}
    whole = {reference.tag for reference in _names(annotations)}
    return name in (entry.manifest.digest, given.get(REFERENCE_NAME)) or name in whole


def _check_platform(image: Image, platform: Platform | None) -> None:
    found, here = normalize(image.platform), Platform.here()
    if found.os != here.os:
        raise InvalidParameter(f"cannot load {found.os} image on {here.os}")
    if platform is not None and found not in compatible(platform):
        raise NotFound(
            f"the image {image.id} is for the platform {found}, which does not match the specified platform"
            f" ({platform})"
        )


# OCI layouts


def _from_index(members: Members, platform: Platform | None) -> Iterator[Offer]:
    described = tuple(_entries(members))
    runnable = [_runs_on(entry, platform or Platform.here()) for entry, _ in described]
    if described and not any(runnable):
        raise NotFound(f"the archive has no image for the platform {platform or Platform.here()}")
    for (entry, notes), wanted in zip(described, runnable, strict=True):
        if wanted:
            yield _from_descriptor(members, entry.manifest, _names(notes), platform)


def _entries(members: Members) -> Iterator[tuple[Entry, Any]]:
    """Yield the entries of the layout's index, each with its annotations."""
    content = members.need(INDEX).read(LIMIT)
    index = parse_manifest(content)
    if not isinstance(index, Index):
        raise CorruptContent(f"its {INDEX} is not an index")
    for entry, described in zip(index.entries, orjson.loads(content)["manifests"], strict=True):
        yield entry, described.get("annotations")


def _runs_on(entry: Entry, platform: Platform) -> bool:
    """Whether an image of an index is for a platform, as far as the index says it."""
    return entry.platform is None or not entry.platform.os or normalize(entry.platform) in compatible(platform)


def _names(annotations: Any) -> tuple[Reference, ...]:
    """Return the name that annotations give an image. One that is only a tag is none."""
    if not isinstance(annotations, Mapping):
        return ()
    for key in (WHOLE_NAME, REFERENCE_NAME):
        text = annotations.get(key)
        if isinstance(text, str) and (key == WHOLE_NAME or "/" in text or ":" in text):
            try:
                reference = Reference.parse(text)
            except InvalidParameter:
                continue
            return () if reference.digest is not None else (reference.tagged(),)
    return ()


def _from_descriptor(
    members: Members, descriptor: Descriptor, names: tuple[Reference, ...], platform: Platform | None
) -> Offer:
    for _ in range(_MOST_INDEXES):
        content = _blob(members, descriptor).read(LIMIT)
        parsed = parse_manifest(content, descriptor.media_type)
        if not isinstance(parsed, Index):
            break
        descriptor = choose(parsed, platform or Platform.here())
    else:
        raise CorruptContent(f"its {INDEX} leads to more than {_MOST_INDEXES} other indexes")
    config = _blob(members, parsed.config).read(LIMIT)
    layers = tuple((_blob(members, layer), layer) for layer in parsed.layers)
    manifest = Descriptor(parsed.media_type, descriptor.digest, descriptor.size)
    return Offer(_parsed(config, len(layers)), config, manifest, content, layers, names)


def _blob(members: Members, descriptor: Descriptor) -> Member:
    member = members.need(blob_name(descriptor.digest))
    if member.digest != descriptor.digest:
        raise Unsupported(f"the archive has blobs by {descriptor.digest.algorithm}: only sha256 is supported")
    if member.size != descriptor.size:
        raise CorruptContent(f"its {member.name} has {member.size} bytes instead of {descriptor.size}")
    return member


# Docker's format


def _from_docker_manifest(members: Members) -> Iterator[Offer]:
    try:
        document = orjson.loads(members.need(DOCKER_MANIFEST).read(LIMIT))
    except orjson.JSONDecodeError as error:
        raise CorruptContent(f"its {DOCKER_MANIFEST} is not JSON: {error}") from error
    if not isinstance(document, list):
        raise CorruptContent(f"its {DOCKER_MANIFEST} is not a list of images")
    for item in document:
        if not isinstance(item, dict) or not isinstance(item.get("Config"), str):
            raise CorruptContent(f"its {DOCKER_MANIFEST} has an image without a Config")
        config = members.need(item["Config"]).read(LIMIT)
        files = [members.need(name) for name in _strings(item, "Layers")]
        layers = tuple((file, Descriptor(_layer_type(file), file.digest, file.size)) for file in files)
        image = _parsed(config, len(layers))
        manifest, content = describe(
            Descriptor(CONFIG_TYPE, image.id, len(config)), [descriptor for _, descriptor in layers]
        )
        yield Offer(image, config, manifest, content, layers, tuple(map(_tag, _strings(item, "RepoTags"))))


def _strings(item: Mapping[str, Any], key: str) -> list[str]:
    value = item.get(key) or []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise CorruptContent(f"its {DOCKER_MANIFEST} has {key} that are not a list of strings")
    return value


def _tag(text: str) -> Reference:
    try:
        reference = Reference.parse(text)
    except InvalidParameter as error:
        raise CorruptContent(f"its {DOCKER_MANIFEST} has the tag {text!r:.200}: {error}") from error
    if reference.tag is None or reference.digest is not None:
        raise CorruptContent(f"its {DOCKER_MANIFEST} has the tag {text!r:.200}, which is none")
    return reference


def _layer_type(file: Member) -> str:
    with file.open() as stream:
        start = stream.read(4)
    return LAYER_TYPE + next((suffix for magic, suffix in _COMPRESSED.items() if start.startswith(magic)), "")


def _parsed(config: bytes, layers: int) -> Image:
    image = parse_config(config)
    if len(image.diff_ids) != layers:
        raise CorruptContent(f"invalid manifest, layers length mismatch: expected {layers}, got {len(image.diff_ids)}")
    return image
