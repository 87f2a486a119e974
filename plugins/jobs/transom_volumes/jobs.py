"""What clients can do with volumes; `transom.volumes` says what the parameters mean and what is raised."""

from __future__ import annotations

from collections.abc import Mapping

from transom.engine import Engine
from transom.errors import Conflict, NotFound
from transom.filters import Filters, Labels, parse_truth, refuse_unknown
from transom.job import Job
from transom.system import Pruned
from transom.volumes import ANONYMOUS_LABEL, VolumeRecord, VolumeUsage

__all__ = [
    "volume_create",
    "volume_inspect",
    "volume_list",
    "volume_prune",
    "volume_remove",
    "volume_usage",
]


def volume_create(
    engine: Engine,
    job: Job,  # noqa: ARG001 every handler has it
    name: str = "",
    driver: str = "local",
    options: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> VolumeRecord:
    """Make a volume, or return the one of that name."""
    existed = bool(name) and engine.volumes.exists(name)
    volume = engine.volumes.create(name, driver or "local", options, labels)
    if not existed:
        engine.events.record("volume", "create", volume.name, {"driver": volume.driver})
    return volume


def volume_list(
    engine: Engine,
    job: Job,  # noqa: ARG001
    filters: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[VolumeRecord, ...]:
    """Return the volumes that pass the filters."""
    return tuple(engine.volumes.list(filters))


def volume_inspect(engine: Engine, job: Job, name: str) -> VolumeRecord:  # noqa: ARG001
    """Return one volume."""
    return engine.volumes.get(name)


def volume_remove(engine: Engine, job: Job, name: str, force: bool = False) -> None:  # noqa: ARG001
    """Delete a volume."""
    removed = engine.volumes.remove(name, force)
    if removed is not None:
        engine.events.record("volume", "destroy", removed.name, {"driver": removed.driver})


def volume_prune(engine: Engine, job: Job, *, filters: Filters | None = None) -> Pruned:
    """Delete the volumes that no container uses and that have no name of their own; with `all` those that have one too.

    The filters are `all`, `label` and `label!`. Raises `InvalidParameter` for others and for wrong values.
    """
    filters = filters or {}
    refuse_unknown(filters, ("all", "label", "label!"))
    everything, labels = parse_truth(filters, "all"), Labels.parse(filters)
    removed: list[str] = []
    reclaimed = 0
    for volume in engine.volumes.list({"dangling": ("true",)}):
        job.check()
        if not labels.accept(volume.labels) or not (everything or ANONYMOUS_LABEL in volume.labels):
            continue
        try:
            size = engine.volumes.usage(volume.name).size
            volume_remove(engine, job, volume.name)
        except (Conflict, NotFound):
            # Somebody has begun to use it, or removed it.
            continue
        removed.append(volume.name)
        reclaimed += size or 0
    engine.events.record("volume", "prune", "", {"reclaimed": str(reclaimed)})
    return Pruned(tuple(removed), reclaimed)


def volume_usage(engine: Engine, job: Job) -> tuple[VolumeUsage, ...]:
    """Return what each volume occupies."""
    found = []
    for volume in engine.volumes.list():
        job.check()
        try:
            found.append(engine.volumes.usage(volume.name))
        except NotFound:
            # Somebody has removed it meanwhile.
            continue
    return tuple(found)
