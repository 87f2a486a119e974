"""Layers that came uncompressed, from an archive, are compressed before they are first pushed, and so remembered."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from transom.crew import Crew
from transom.graph.content import Descriptor
from transom.graph.lease import Lease
from transom.graph.making import CONFIG_TYPE, LAYER_TYPE, describe, pack
from transom.graph.model import Image

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["PACK", "packed"]

#: The crew's lane.
PACK = "pack"
_CHUNK = 1 << 20


def packed(engine: Engine, crew: Crew, image: Image, lease: Lease) -> Image:
    """Return an image with its layers compressed, which the lease keeps.

    An image whose manifest came from elsewhere is left as it is: others know the manifest by its digest. Raises
    `NotFound` if the image was removed meanwhile, `StorageFull`, `Cancelled`.
    """
    if not _is_plain(engine, image):
        return image
    with engine.transfers.hold(("pack", image.id), crew.check):
        # Another push may have done it.
        image = engine.images.get(image.id)
        if not _is_plain(engine, image):
            return image
        layers = list(engine.images.layers(image))
        for blob in layers:
            lease.keep_blob(blob)
        for index, blob in enumerate(layers):
            if blob.media_type == LAYER_TYPE:
                crew.add(partial(_pack, engine, crew, layers, index, lease), PACK)
        crew.run()
        return engine.images.repack(image, layers, *_describe(engine, image, layers), lease)


def _is_plain(engine: Engine, image: Image) -> bool:
    """Whether an image has layers to compress, and a manifest that was written here."""
    layers = list(engine.images.layers(image))
    plain = any(blob.media_type == LAYER_TYPE for blob in layers)
    return plain and _describe(engine, image, layers)[0].digest == image.manifest


def _describe(engine: Engine, image: Image, layers: list[Descriptor]) -> tuple[Descriptor, bytes]:
    return describe(Descriptor(CONFIG_TYPE, image.id, engine.content.size(image.id)), layers)


def _pack(engine: Engine, crew: Crew, layers: list[Descriptor], index: int, lease: Lease) -> None:
    layer = pack(_chunks(engine, crew, layers[index]), engine.content, lease)
    if not layer.empty:
        layers[index] = layer.blob


def _chunks(engine: Engine, crew: Crew, blob: Descriptor) -> Iterator[bytes]:
    with engine.content.open(blob.digest) as file:
        while chunk := file.read(_CHUNK):
            crew.check()
            yield chunk
