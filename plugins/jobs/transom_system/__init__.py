"""The jobs about the engine as a whole: version, info, drivers, events."""

from __future__ import annotations

from collections.abc import Mapping

from transom import hookimpl
from transom.job import HandlerName

__all__ = ["transom_jobs"]


@hookimpl
def transom_jobs() -> Mapping[str, HandlerName]:
    return {
        "version": "transom_system.about:version",
        "info": "transom_system.about:info",
        "drivers": "transom_system.about:drivers",
        "events": "transom_system.events:events",
        "disk_usage": "transom_system.disk_usage:disk_usage",
    }
