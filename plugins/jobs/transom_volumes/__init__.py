"""The jobs about volumes: `volume_create`, `volume_list`, `volume_inspect`, `volume_remove`,
`volume_prune`, `volume_usage`."""

from __future__ import annotations

from collections.abc import Mapping

from transom import hookimpl
from transom.job import Handler

__all__ = ["transom_jobs"]


@hookimpl
def transom_jobs() -> Mapping[str, Handler]:
    from transom_volumes import jobs

    return {
        "volume_create": jobs.volume_create,
        "volume_list": jobs.volume_list,
        "volume_inspect": jobs.volume_inspect,
        "volume_remove": jobs.volume_remove,
        "volume_prune": jobs.volume_prune,
        "volume_usage": jobs.volume_usage,
    }
