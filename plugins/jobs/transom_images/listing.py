"""What images there are, and all about one: the jobs `image_list`, `image_inspect` and `image_history`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from transom.engine import Engine
from transom.errors import NotFound
from transom.filters import Filters
from transom.graph.digest import Digest
from transom.graph.image_config import unix_seconds
from transom.graph.images import HistoryEntry, ImageDetails, ImageSummary
from transom.graph.model import Image, Platform
from transom.graph.platforms import compatible, normalize
from transom.job import Job
from transom_images.filters import ImageFilters

__all__ = ["find_image", "image_history", "image_inspect", "image_list"]


def image_list(
    engine: Engine,
    job: Job,  # noqa: ARG001
    *,
    filters: Filters | None = None,
    all: bool = False,
    shared_size: bool = False,
) -> tuple[ImageSummary, ...]:
    """Return the images that pass all filters, the last created first.

    Without `all`, images are left out that have no name and that others were made from here. With `shared_size`
    each says how much of it others have too. Raises `InvalidParameter` for an unknown filter or a wrong value,
    `NotFound` for `before` or `since` an image that does not exist.
    """
    images = engine.images.list()
    chosen = ImageFilters.parse(engine.images, filters or {})
    users = Counter(chain_id for image in images for chain_id in image.chain_ids) if shared_size else None
    found = []
    for image in images:
        try:
            summary = _summary(engine, image, chosen)
            hidden = not all and not engine.images.names(image) and engine.images.children(image)
        except NotFound:
            # It was removed meanwhile.
            continue
        if not hidden and chosen.accept(image, summary):
            found.append(summary if users is None else replace(summary, shared_size=_shared_size(image, users)))
    return tuple(found)


def _shared_size(image: Image, users: Counter[Digest]) -> int:
    return sum(size for chain_id, size in zip(image.chain_ids, image.sizes, strict=True) if users[chain_id] > 1)


def _summary(engine: Engine, image: Image, filters: ImageFilters) -> ImageSummary:
    images = engine.images
    return ImageSummary(
        id=image.id,
        tags=tuple(tag.familiar for tag in images.tags(image) if filters.names(tag)),
        digests=tuple(digest.familiar for digest in images.digests(image) if filters.names(digest)),
        created=unix_seconds(image.created),
        size=image.size,
        containers=images.containers(image),
        labels=image.config.labels,
        parent=_parent(engine, image),
    )


def _parent(engine: Engine, image: Image) -> str:
    parent = engine.images.parent(image)
    return "" if parent is None else parent.id


def find_image(engine: Engine, name: str, platform: Platform | None) -> Image:
    """Return the image of a name. Raises `NotFound` if there is none, or it is for another platform than asked for."""
    image = engine.images.get(name)
    if platform is not None and normalize(image.platform) not in compatible(platform):
        raise NotFound(
            f"image with reference {name} was found but its platform ({image.platform}) does not match the specified"
            f" platform ({platform})"
        )
    return image


def image_inspect(
    engine: Engine,
    job: Job,  # noqa: ARG001
    *,
    name: str,
    platform: Platform | None = None,
) -> ImageDetails:
    """Return all about an image. Raises `NotFound`, also if it is for another platform than is asked for."""
    images = engine.images
    image = find_image(engine, name, platform)
    return ImageDetails(
        image=image,
        tags=tuple(tag.familiar for tag in images.tags(image)),
        digests=tuple(digest.familiar for digest in images.digests(image)),
        last_tagged=images.last_tagged(image),
        graphdriver=engine.graphdriver(),
        layer=image.chain_ids[-1].hex if image.diff_ids else "",
        parent=_parent(engine, image),
    )


def image_history(
    engine: Engine,
    job: Job,  # noqa: ARG001
    *,
    name: str,
    platform: Platform | None = None,
) -> tuple[HistoryEntry, ...]:
    """Return the steps in which an image was made, the last one first.

    Those that are images here, as it was made from them here, have their IDs and tags. Raises `NotFound`, also if
    it is for another platform than is asked for.
    """
    image: Image | None = find_image(engine, name, platform)
    assert image is not None
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
    entries.reverse()
    for index, entry in enumerate(entries):
        if image is None:
            break
        tags = tuple(tag.familiar for tag in engine.images.tags(image))
        entries[index] = replace(entry, id=image.id, tags=tags)
        image = engine.images.parent(image)
    return tuple(entries)
