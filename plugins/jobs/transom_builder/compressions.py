"""How the layers of results and caches are compressed where the client says so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from transom.crew import Crew
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.lease import Lease
from transom.graph.recompression import Compression, recompress
from transom_builder.attributes import flag, number

if TYPE_CHECKING:
    from transom.job import Job

__all__ = ["COMPRESSION", "check_compression", "compressed", "is_forced"]

#: What outputs and caches may say of it.
COMPRESSION = ("compression", "compression-level", "force-compression")
_LANE = "compress"
_HANDS = 4


def check_compression(attributes: Mapping[str, str]) -> Compression | None:
    """Return what the attributes of an output or a cache say of its layers, None if nothing.

    Raises `InvalidParameter`.
    """
    is_forced(attributes)
    level = number(attributes, "compression-level")
    kind = attributes.get("compression")
    if kind is None and level is None and not is_forced(attributes):
        return None
    return Compression(kind or "gzip", level)


def is_forced(attributes: Mapping[str, str]) -> bool:
    """Return whether all layers get the compression, and not only those that were made here."""
    return flag(attributes, "force-compression")


def compressed(
    job: Job,
    layers: Sequence[Descriptor],
    attributes: Mapping[str, str],
    lease: Lease,
    made_elsewhere: Collection[Digest] = (),
) -> list[Descriptor]:
    """Return the blobs of layers as the attributes of an output or a cache want them; the lease keeps what is made.

    What was made elsewhere is changed only where that is forced. Raises as `recompress`.
    """
    compression = check_compression(attributes)
    result = list(layers)
    if compression is None:
        return result
    crew = Crew(job, {_LANE: _HANDS})
    for index, layer in enumerate(layers):
        if is_forced(attributes) or layer.digest not in made_elsewhere:
            crew.add(partial(_compress, job, result, index, compression, lease, crew.check), _LANE)
    crew.run()
    return result


def _compress(
    job: Job,
    layers: list[Descriptor],
    index: int,
    compression: Compression,
    lease: Lease,
    check: Callable[[], None],
) -> None:
    layers[index] = recompress(job.engine.content, layers[index], compression, lease, check)
