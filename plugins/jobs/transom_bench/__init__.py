"""The job that compares drivers by workloads that people argue about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from transom import hookimpl

if TYPE_CHECKING:
    from transom.job import HandlerName


@hookimpl
def transom_jobs() -> Mapping[str, HandlerName]:
    return {"driver_compare": "transom_bench.comparing:driver_compare"}
