"""The job `image_remove`."""

from __future__ import annotations

from transom.engine import Engine
from transom.graph.images import Removed
from transom.job import Job

__all__ = ["image_remove"]


def image_remove(
    engine: Engine,
    job: Job,  # noqa: ARG001
    *,
    name: str,
    force: bool = False,
    prune: bool = True,  # noqa: ARG001
) -> tuple[Removed, ...]:
    """Remove a name of an image, and the image with its last one; return what was done, step by step.

    `prune` makes no difference: no image has a parent that goes with it. Raises `NotFound`, and `Conflict` if
    a container uses it or several repositories name it.
    """
    image = engine.images.get(name)
    removed = engine.images.remove(name, force=force)
    for step in removed:
        if step.untagged:
            engine.events.record("image", "untag", image.id, {**image.config.labels, "name": image.id})
        elif step.deleted == image.id:
            engine.events.record("image", "delete", image.id, {**image.config.labels, "name": image.id})
    engine.images.collect_garbage()
    return removed
