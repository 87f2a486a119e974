"""The job `image_tag`."""

from __future__ import annotations

from transom.engine import Engine
from transom.errors import InvalidParameter
from transom.graph.reference import parse_name
from transom.job import Job

__all__ = ["image_tag"]


def image_tag(engine: Engine, job: Job, *, name: str, repository: str, tag: str = "") -> None:  # noqa: ARG001
    """Give an image one more name. An image that had it has it no more.

    `name` is the image's name or ID. `tag` takes the place of the repository's own; without either it is
    `latest`. Raises `NotFound`, and `InvalidParameter` for what is no name.
    """
    reference = parse_name(repository, tag)
    if reference is None:
        raise InvalidParameter("the parameter repo is missing: which name should the image get?")
    image = engine.images.get(name)
    engine.images.tag(image, reference)
    engine.events.record("image", "tag", image.id, {**image.config.labels, "name": reference.familiar})
