"""Images go: the jobs `image_remove` and `image_prune`."""

from __future__ import annotations

from dataclasses import dataclass

from transom.engine import Engine
from transom.errors import Conflict, NotFound
from transom.filters import Filters, Labels, parse_truth, parse_until, refuse_unknown
from transom.graph.image_config import unix_nanoseconds
from transom.graph.images import Removed
from transom.graph.model import Image
from transom.job import Job

__all__ = ["Pruned", "image_prune", "image_remove"]


@dataclass(frozen=True)
class Pruned:
    """What a prune did, and how many bytes of unpacked layers have gone."""

    removed: tuple[Removed, ...]
    reclaimed: int


def image_remove(
    engine: Engine,
    job: Job,  # noqa: ARG001
    *,
    name: str,
    force: bool = False,
    prune: bool = True,
) -> tuple[Removed, ...]:
    """Remove a name of an image, and the image with its last one; return what was done, step by step.

    With `prune` the images that it was made from here go too, if they have no name and no other use. Raises
    `NotFound`, and `Conflict` if a container uses it, other images were made from it, or several repositories name
    it.
    """
    removed = _remove(engine, name, force=force, prune=prune)
    engine.images.collect_garbage()
    return removed


def image_prune(engine: Engine, job: Job, *, filters: Filters | None = None) -> Pruned:
    """Remove the images that no container uses and that have no tag; with `dangling=false` those that have one too.

    The filters are `dangling`, `until` (a time before which an image was made), `label` and `label!`. Raises
    `InvalidParameter` for others and for wrong values.
    """
    filters = filters or {}
    refuse_unknown(filters, ("dangling", "label", "label!", "until"))
    dangling, until, labels = parse_truth(filters, "dangling"), parse_until(filters), Labels.parse(filters)
    images = engine.images
    sizes: dict[str, int] = {}
    removed: list[Removed] = []
    for image in images.list():
        job.check()
        if until is not None and not unix_nanoseconds(image.created) < until:
            continue
        if labels.accept(image.config.labels):
            sizes.update(zip(image.chain_ids, image.sizes, strict=True))
            removed += _remove_if_unused(engine, image, tagged=dangling is False)
    images.collect_garbage()
    reclaimed = sum(sizes.get(step.deleted, 0) for step in removed)
    engine.events.record("image", "prune", "", {"reclaimed": str(reclaimed)})
    return Pruned(tuple(removed), reclaimed)


def _remove_if_unused(engine: Engine, image: Image, *, tagged: bool) -> tuple[Removed, ...]:
    """Remove an image with all its names if nothing holds on to it, and if it has no tag or may be `tagged`."""
    images = engine.images
    try:
        if images.containers(image) or images.children(image) or (images.tags(image) and not tagged):
            return ()
        return _remove(engine, image.id, force=True, prune=True)
    except (NotFound, Conflict):
        # It went with one that was made from it, or somebody has begun to use it.
        return ()


def _remove(engine: Engine, name: str, *, force: bool, prune: bool) -> tuple[Removed, ...]:
    labels = engine.images.get(name).config.labels
    removed = engine.images.remove(name, force=force, prune=prune)
    for step in removed:
        if step.untagged:
            engine.events.record("image", "untag", step.image, {**labels, "name": step.image})
        elif step.deleted == step.image:
            engine.events.record("image", "delete", step.image, {"name": step.image})
    return removed
