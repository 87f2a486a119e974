"""The job `commit`: an image of what a container has become."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from transom.containers.spec import PLACEHOLDERS
from transom.dockerfile.changes import apply_changes
from transom.errors import Conflict
from transom.graph.model import History, RunConfig
from transom.graph.reference import parse_name
from transom.times import format_moment
from transom_containers.create import merge_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transom.containers.model import Container
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["commit"]


def commit(
    engine: Engine,
    job: Job,
    *,
    container: str,
    repository: str = "",
    tag: str = "",
    author: str = "",
    comment: str = "",
    pause: bool = True,
    changes: Sequence[str] = (),
    config: RunConfig | None = None,
) -> str:
    """Make an image of a container's files on top of its own image, and return the image's ID.

    `config` is what the new image says of its containers; what it leaves open, or all of it if it is None, is the
    container's own. `changes` are instructions of a Dockerfile on top. A running container is paused meanwhile, if
    `pause` and where processes can be paused. What is in its volumes and other mounts is not in the image.

    Raises `InvalidParameter` for a wrong name or change, `NotFound`, `Conflict` if the container is being removed, or
    if a file changes while it is read. Nothing is left then.
    """
    reference = parse_name(repository, tag)
    run = engine.containers.get(container).config.run
    wanted = merge_config(run, apply_changes(run if config is None else config, changes))
    with ExitStack() as stack:
        if pause:
            stack.enter_context(engine.supervisor.pausing.held(container))
        found, _ = stack.enter_context(engine.supervisor.views.layer(job, container))
        if found.temporary:
            raise Conflict(f"cannot commit the container {found.id}: it is a step of a build")
        parent = engine.images.get(found.image)
        lease = stack.enter_context(engine.images.lease(f"commit {found.id} {job.number}", resumable=False))
        difference = _difference(engine, job, found)
        driver = found.graphdriver
        layer = engine.images.add_layer(difference, parent, driver=driver, lease=lease, progress=lambda _: job.check())
        image = engine.images.create(
            config=wanted,
            step=History(
                created=format_moment(time.time_ns()),
                created_by=" ".join(found.config.run.cmd or ()),
                author=author,
                comment=comment,
            ),
            parent=parent,
            layer=layer,
            comment=comment,
            driver=driver,
            lease=lease,
            reference=reference,
            container=found.id,
        )
        if reference is not None:
            engine.events.record("image", "tag", image.id, {**image.config.labels, "name": reference.familiar})
        name = "" if reference is None else reference.familiar
        engine.supervisor.record(found, "commit", {"comment": comment, "imageID": image.id, "imageRef": name})
    return image.id


def _difference(engine: Engine, job: Job, container: Container) -> Iterator[bytes]:
    """Yield the layer archive of what a container has changed, for as long as somebody wants it."""
    for piece in engine.layers.diff(container.graphdriver, container.id, PLACEHOLDERS):
        job.check()
        yield piece
