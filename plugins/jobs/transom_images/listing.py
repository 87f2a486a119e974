"""What images there are, and all about one: the jobs `image_list`, `image_inspect` and `image_history`."""

from __future__ import annotations

from collections.abc import Mapping

from transom.engine import Engine
from transom.graph.image_config import unix_seconds
from transom.graph.images import HistoryEntry, ImageDetails, ImageSummary
from transom.graph.model import Image
from transom.job import Job
from transom_images.filters import Filters

__all__ = ["image_history", "image_inspect", "image_list"]


def image_list(
    engine: Engine,
    job: Job,  # noqa: ARG001
    *,
    filters: Mapping[str, tuple[str, ...]] | None = None,
    all: bool = False,  # noqa: ARG001
) -> tuple[ImageSummary, ...]:
    """Return the images that pass all filters, the last created first.

    Raises `InvalidParameter` for an unknown filter or a wrong value, `NotFound` for `before` or `since` an
    image that does not exist. `all` makes no difference: there are no images that are only parts of others.
    """
    chosen = Filters.parse(engine.images, filters or {})
    summaries = (_summary(engine, image, chosen) for image in engine.images.list())
    return tuple(summary for summary in summaries if chosen.accept(summary))


def _summary(engine: Engine, image: Image, filters: Filters) -> ImageSummary:
    images = engine.images
    return ImageSummary(
        id=image.id,
        tags=tuple(tag.familiar for tag in images.tags(image) if filters.names(tag)),
        digests=tuple(digest.familiar for digest in images.digests(image) if filters.names(digest)),
        created=unix_seconds(image.created),
        size=image.size,
        containers=images.containers(image),
        labels=image.config.labels,
    )


def image_inspect(engine: Engine, job: Job, *, name: str) -> ImageDetails:  # noqa: ARG001
    """Return all about an image. Raises `NotFound`."""
    images = engine.images
    image = images.get(name)
    return ImageDetails(
        image=image,
        tags=tuple(tag.familiar for tag in images.tags(image)),
        digests=tuple(digest.familiar for digest in images.digests(image)),
        last_tagged=images.last_tagged(image),
        graphdriver=engine.graphdriver(),
        layer=image.chain_ids[-1].hex if image.diff_ids else "",
    )


def image_history(engine: Engine, job: Job, *, name: str) -> tuple[HistoryEntry, ...]:  # noqa: ARG001
    """Return the steps in which an image was made, the last one first. Raises `NotFound`."""
    image = engine.images.get(name)
    sizes = iter(image.sizes)
    entries = [
        HistoryEntry(
            id="<missing>",
            created=unix_seconds(step.created),
            created_by=step.created_by,
            comment=step.comment,
            size=0 if step.empty_layer else next(sizes, 0),
        )
        for step in image.history
    ]
    if entries:
        last = entries[-1]
        tags = tuple(tag.familiar for tag in engine.images.tags(image))
        entries[-1] = HistoryEntry(image.id, last.created, last.created_by, last.comment, last.size, tags)
    return tuple(reversed(entries))
