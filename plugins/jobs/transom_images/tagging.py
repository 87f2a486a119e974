"""The job `image_tag`."""

from __future__ import annotations

from transom.engine import Engine
from transom.errors import InvalidParameter
from transom.graph.reference import Reference
from transom.job import Job

__all__ = ["image_tag", "parse_name"]


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


def parse_name(repository: str, tag: str) -> Reference | None:
    """Return the name that a new image is to get, None where no repository is given. Raises `InvalidParameter`."""
    if not repository:
        return None
    reference = Reference.parse(repository)
    if reference.digest is not None:
        raise InvalidParameter(f"cannot name an image {reference.familiar}: a new name cannot have a digest")
    if reference.familiar_name == "sha256":
        raise InvalidParameter("refusing to create an ambiguous tag using digest algorithm as name")
    return (reference.with_tag(tag) if tag else reference).tagged()
