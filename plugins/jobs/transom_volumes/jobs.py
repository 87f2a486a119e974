"""What clients can do with volumes; `transom.volumes` says what the parameters mean and what is raised."""

from __future__ import annotations

from collections.abc import Mapping

from transom.engine import Engine
from transom.job import Job
from transom.volumes import VolumeRecord

__all__ = ["volume_create", "volume_inspect", "volume_list", "volume_remove"]


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
