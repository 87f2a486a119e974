"""The jobs that build images from Dockerfiles, and look after what is kept of that."""

from __future__ import annotations

from collections.abc import Mapping

from transom import hookimpl
from transom.job import HandlerName

__all__ = ["transom_jobs"]


@hookimpl
def transom_jobs() -> Mapping[str, HandlerName]:
    return {
        "build": "transom_builder.build:build",
        "build_prune": "transom_builder.prune:build_prune",
    }
