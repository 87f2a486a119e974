"""The jobs about volumes: `volume_create`, `volume_list`, `volume_inspect`, `volume_remove`,
`volume_prune`, `volume_usage`."""

from __future__ import annotations

from collections.abc import Mapping

from transom import hookimpl
from transom.job import HandlerName

__all__ = ["transom_jobs"]


@hookimpl
def transom_jobs() -> Mapping[str, HandlerName]:
    return {
        "volume_create": "transom_volumes.jobs:volume_create",
        "volume_list": "transom_volumes.jobs:volume_list",
        "volume_inspect": "transom_volumes.jobs:volume_inspect",
        "volume_remove": "transom_volumes.jobs:volume_remove",
        "volume_prune": "transom_volumes.jobs:volume_prune",
        "volume_usage": "transom_volumes.jobs:volume_usage",
    }
