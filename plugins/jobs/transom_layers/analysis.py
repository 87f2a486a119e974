"""The job `image_layers`: reads the layers of an image, each blob once, and says what they hold and what they waste."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Mapping
from typing import Final

from transom.engine import Engine
from transom.errors import InvalidParameter
from transom.graph.archive import read_archive
from transom.graph.compression import decompress
from transom.graph.content import ContentStore
from transom.graph.digest import Digest
from transom.graph.layer_report import LayerReport, LayerSummary, Share
from transom.graph.model import Image
from transom.graph.verify import CountingReader, VerifyingReader
from transom.job import Job
from transom_layers.advice import advise
from transom_layers.offenders import find_offenders
from transom_layers.shares import add_up, list_tree
from transom_layers.steps import find_steps
from transom_layers.tree import Tree

__all__ = ["MOST_NODES", "MOST_OFFENDERS", "image_layers"]

#: How many nodes of the tree, and paths that waste, can be asked for.
MOST_NODES: Final = 200_000
MOST_OFFENDERS: Final = 10_000
_CHUNK: Final = 1 << 20


def image_layers(
    engine: Engine,
    job: Job,
    *,
    name: str,
    offenders: int = 20,
    nodes: int = 0,
) -> LayerReport:
    """Return what the layers of an image hold, with at most so many `offenders` and `nodes` of the tree.

    Raises `NotFound`, `InvalidParameter` for numbers out of their range, `CorruptContent` for a blob that is damaged,
    and `Unsupported` for more files than memory should be spent on.
    """
    if not 0 <= offenders <= MOST_OFFENDERS:
        raise InvalidParameter(f"invalid number of offenders {offenders}: it should be from 0 to {MOST_OFFENDERS}")
    if not 0 <= nodes <= MOST_NODES:
        raise InvalidParameter(f"invalid number of nodes {nodes}: it should be from 0 to {MOST_NODES}")
    with engine.images.lease(f"layers {secrets.token_hex(8)}", resumable=False) as lease:
        image = engine.images.get(name)
        engine.images.keep(image, lease)
        return analyse(image, engine.content, job.check, offenders, nodes)


def analyse(image: Image, content: ContentStore, check: Callable[[], None], offenders: int, nodes: int) -> LayerReport:
    """Read the blobs of an image and return what there is to say. What `check` raises ends the reading."""
    tree = Tree()
    for number, (diff_id, blob) in enumerate(zip(image.diff_ids, image.blobs, strict=True), 1):
        tree.begin(number)
        _read(tree, content, diff_id, blob, check)
    tree.finish()
    shares = add_up(tree)
    worst = find_offenders(tree.hidings)
    steps = find_steps(image.history, _summaries(image, content, tree, shares[tree.root]))
    return LayerReport(
        image=image.id,
        steps=steps,
        visible=sum(share.size - share.wasted for share in shares[tree.root].values()),
        offenders=tuple(worst[:offenders]),
        offender_count=len(worst),
        advice=advise(tree, steps),
        tree=list_tree(tree, shares, nodes) if nodes else (),
    )


def _read(tree: Tree, content: ContentStore, diff_id: Digest, blob: Digest, check: Callable[[], None]) -> None:
    with content.open(blob) as file:
        verifying = VerifyingReader(decompress(CountingReader(file, lambda _: check())), diff_id)
        for entry in read_archive(io.BufferedReader(verifying, _CHUNK)):
            tree.put(entry)
        verifying.verify()


def _summaries(image: Image, content: ContentStore, tree: Tree, shares: Mapping[int, Share]) -> list[LayerSummary]:
    hides = dict.fromkeys(tree.marks, 0)
    for hiding in tree.hidings:
        if hiding.layer != hiding.version.layer:
            hides[hiding.layer] += hiding.version.size
    return [
        LayerSummary(
            number,
            diff_id,
            blob,
            content.size(blob),
            shares.get(number, Share(number)),
            hides[number],
            tree.marks[number].whiteouts,
            tree.marks[number].opaque,
        )
        for number, (diff_id, blob) in enumerate(zip(image.diff_ids, image.blobs, strict=True), 1)
    ]
