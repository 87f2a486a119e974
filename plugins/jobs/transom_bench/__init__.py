"""The job that compares drivers by workloads that people argue about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from transom import hookimpl

if TYPE_CHECKING:
    from transom.job import Handler


@hookimpl
def transom_jobs() -> Mapping[str, Handler]:
    from transom_bench.comparing import driver_compare

    return {"driver_compare": driver_compare}
