"""What is said of steps where they are kept for other engines: the key of each, and which layer it has made.

In an image (`inline`) an annotation of its manifest says it, and the layers are the image's. A cache of its own is a
manifest whose layers are those of the steps, and whose configuration says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from transom import records
from transom.errors import CorruptContent, InvalidParameter
from transom.graph.build_cache import CachedStep
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.making import LAYER_TYPE, MANIFEST_TYPE, NewLayer, oci_layer_type

__all__ = ["CONFIG_TYPE", "KeptStep", "annotate", "describe_cache", "read_annotation", "read_cache", "read_descriptor"]

#: What the configuration of a cache's manifest is called.
CONFIG_TYPE: Final = "application/vnd.transom.build.cache.v1+json"
_ANNOTATION: Final = "org.transom.build.cache"
_VERSION: Final = 1
_LAYER_TYPES: Final = (LAYER_TYPE, f"{LAYER_TYPE}+gzip", f"{LAYER_TYPE}+zstd")


@dataclass(frozen=True)
class _Record:
    """A step: its key, that of the step before, its layer's diff ID (empty for none) and size, and when it was made."""

    key: str
    parent: str
    diff_id: str
    made: str
    description: str
    size: int = 0


@dataclass(frozen=True)
class KeptStep:
    """A step that was done, or that a cache tells of, with its layer, whose blob may be at the cache alone."""

    key: str
    parent: str
    step: CachedStep
    description: str

    @property
    def layer(self) -> NewLayer:
        """Its layer, which is empty if it has changed no file."""
        return self.step.layer

    def with_blob(self, blob: Descriptor) -> KeptStep:
        """Return it with another blob of the same layer."""
        return replace(self, step=replace(self.step, layer=replace(self.layer, blob=blob)))


def _record(kept: KeptStep) -> dict[str, Any]:
    layer = kept.layer
    diff_id = "" if layer.empty else str(layer.diff_id)
    result: dict[str, Any] = records.dump(
        _Record(kept.key, kept.parent, diff_id, kept.step.made, kept.description, layer.size)
    )
    return result


def annotate(steps: Iterable[KeptStep]) -> dict[str, str]:
    """Return what the manifest of an image says of its steps."""
    value = {"version": _VERSION, "steps": [_record(step) for step in steps]}
    return {_ANNOTATION: orjson.dumps(value).decode()}


def describe_cache(steps: Sequence[KeptStep]) -> tuple[bytes, bytes, tuple[Descriptor, ...]]:
    """Return the configuration and the manifest of a cache of its own, and the blobs of its layers."""
    layers = {step.layer.diff_id: step.layer.blob for step in steps if not step.layer.empty}
    config = orjson.dumps(
        {
            "version": _VERSION,
            "steps": [_record(step) for step in steps],
            "rootfs": {"type": "layers", "diff_ids": list(layers)},
        }
    )
    manifest = orjson.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _fields(Descriptor(CONFIG_TYPE, Digest.of(config), len(config))),
            "layers": [_fields(blob) for blob in layers.values()],
        }
    )
    return config, manifest, tuple(layers.values())


def _fields(blob: Descriptor) -> dict[str, Any]:
    return {"mediaType": blob.media_type, "digest": str(blob.digest), "size": blob.size}


def read_annotation(manifest: Mapping[str, Any], config: bytes) -> dict[str, KeptStep]:
    """Return the steps that the manifest of an image and its configuration tell of, by key; none if it tells nothing.

    Raises `CorruptContent` for nonsense.
    """
    annotations = manifest.get("annotations")
    text = annotations.get(_ANNOTATION) if isinstance(annotations, Mapping) else None
    return _read(manifest, text, config) if isinstance(text, str) else {}


def read_cache(manifest: Mapping[str, Any], config: bytes) -> dict[str, KeptStep]:
    """Return the steps of a cache of its own, by key. Raises `CorruptContent` for nonsense."""
    return _read(manifest, config, config)


def _read(manifest: Mapping[str, Any], said: bytes | str, config: bytes) -> dict[str, KeptStep]:
    try:
        value = orjson.loads(said)
        if value["version"] != _VERSION:
            return {}
        steps = [records.load(_Record, step) for step in value["steps"]]
        diff_ids = orjson.loads(config)["rootfs"]["diff_ids"]
        blobs = dict(zip(diff_ids, (_layer(layer) for layer in manifest["layers"]), strict=True))
        return {step.key: _known(step, blobs) for step in steps if not step.diff_id or step.diff_id in blobs}
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError, InvalidParameter) as error:
        raise CorruptContent(f"the cache cannot be read: {error}") from error


def read_descriptor(blob: Mapping[str, Any]) -> Descriptor:
    """Return what a manifest says of a blob. Raises `InvalidParameter`, `KeyError`, `TypeError` or `ValueError`."""
    size = blob["size"]
    if not isinstance(size, int) or size < 0:
        raise ValueError("a blob has no size")
    return Descriptor(str(blob["mediaType"]), Digest.parse(str(blob["digest"])), size)


def _layer(blob: Mapping[str, Any]) -> Descriptor:
    found = read_descriptor(blob)
    media_type = oci_layer_type(found.media_type)
    if media_type not in _LAYER_TYPES:
        raise ValueError(f"{found.media_type!r} is not the type of a layer")
    return replace(found, media_type=media_type)


def _known(step: _Record, blobs: Mapping[str, Descriptor]) -> KeptStep:
    texts = (step.key, step.parent, step.diff_id, step.made, step.description)
    if not all(isinstance(text, str) for text in texts) or not isinstance(step.size, int) or step.size < 0:
        raise ValueError("a step is none")
    layer = NewLayer.nothing()
    if step.diff_id:
        layer = NewLayer(blobs[step.diff_id], Digest.parse(step.diff_id), step.size)
    return KeptStep(step.key, step.parent, CachedStep(layer, step.made), step.description)
