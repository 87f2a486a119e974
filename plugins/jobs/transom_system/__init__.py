"""The jobs about the engine as a whole: version, info, drivers, events."""

from __future__ import annotations

from collections.abc import Mapping

from transom import hookimpl
from transom.job import Handler

__all__ = ["transom_jobs"]


@hookimpl
def transom_jobs() -> Mapping[str, Handler]:
    from transom_system import about, disk_usage, events

    return {
        "version": about.version,
        "info": about.info,
        "drivers": about.drivers,
        "events": events.events,
        "disk_usage": disk_usage.disk_usage,
    }
