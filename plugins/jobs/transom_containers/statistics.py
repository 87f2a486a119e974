"""The jobs that measure containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom.containers.measurements import Measurement, Watch, Watcher
from transom.containers.model import Status

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["stats", "stats_watch"]


def stats(engine: Engine, _job: Job, *, container: str) -> Measurement:
    """Return what a container has used until now, and nothing of one that does not run."""
    found = engine.containers.get(container)
    if not found.state.running or found.state.status is Status.RESTARTING:
        return Measurement()
    return engine.supervisor.measurements.measure(found.id)


def stats_watch(engine: Engine, _job: Job, *, container: str, watcher: Watcher) -> Watch:
    """Have `watcher` called with a measurement each second, and with None when the container is gone.

    The watch is the caller's to end (`Measurements.end`).
    """
    return engine.supervisor.measurements.watch(engine.containers.get(container).id, watcher)
