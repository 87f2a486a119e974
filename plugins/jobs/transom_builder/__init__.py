"""The jobs that build images from Dockerfiles, and look after what is kept of that."""

from __future__ import annotations

from collections.abc import Mapping

from transom import hookimpl
from transom.job import Handler

__all__ = ["transom_jobs"]


@hookimpl
def transom_jobs() -> Mapping[str, Handler]:
    from transom_builder import build, prune

    return {
        "build": build.build,
        "build_prune": prune.build_prune,
    }
