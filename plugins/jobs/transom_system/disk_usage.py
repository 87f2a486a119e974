"""The job `disk_usage`: what occupies the data root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom.errors import InvalidParameter, NotFound
from transom.system import ContainerUsage, DiskUsage

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["disk_usage"]

#: What can be asked for, in Docker's words.
_KINDS = ("container", "image", "volume", "build-cache")


def disk_usage(engine: Engine, job: Job, *, kinds: tuple[str, ...] = ()) -> DiskUsage:
    """Return what images, containers, volumes and the cache of builds occupy, or only some `kinds` of them.

    The sizes of images and layers are the database's; containers' own layers and volumes are walked through, since
    nobody counts what is written there. Raises `InvalidParameter` for a kind that there is not.
    """
    for kind in kinds:
        if kind not in _KINDS:
            raise InvalidParameter(f"unknown object type: {kind}")
    wanted = kinds or _KINDS
    with_images = "image" in wanted
    return DiskUsage(
        layers=engine.layers.size() if with_images else 0,
        images=engine.run("image_list", shared_size=True) if with_images else None,
        containers=_containers(engine, job) if "container" in wanted else None,
        volumes=engine.run("volume_usage") if "volume" in wanted else None,
        builds=engine.build_cache.list() if "build-cache" in wanted else None,
    )


def _containers(engine: Engine, job: Job) -> tuple[ContainerUsage, ...]:
    found = []
    for container in engine.containers.list():
        job.check()
        try:
            found.append(ContainerUsage(container, *engine.run("container_sizes", container=container.id)))
        except NotFound:
            # Somebody has removed it meanwhile.
            continue
    return tuple(found)
