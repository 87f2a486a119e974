"""The job `build_prune`: what is kept of builds, removed."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from transom.builds import CacheRecord
from transom.errors import InvalidParameter
from transom.filters import Filters, parse_truth, refuse_unknown
from transom.system import Pruned
from transom.times import parse_duration

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["build_prune"]

_FILTERS = ("description", "id", "inuse", "parent", "private", "shared", "type", "until", "unused-for")


def build_prune(
    engine: Engine,
    job: Job,
    *,
    filters: Filters | None = None,
    all: bool = False,
    reserved_space: int = 0,
    max_used_space: int = 0,
    min_free_space: int = 0,
) -> Pruned:
    """Remove what is kept of steps of builds and the directories of caches, those that were not used for longest first.

    Without `all` what images have too is kept: removing it would free nothing. It ends when no more than
    `reserved_space` bytes are kept; with `max_used_space` when no more than that are, and with `min_free_space` when
    so many are free on the disk. The filters are those of Docker. Raises `InvalidParameter` for others and for wrong
    values.
    """
    accepted = _Accepted(filters or {})
    records = engine.build_cache.list()
    kept = sum(record.size for record in records)
    limit = _limit(engine, kept, reserved_space, max_used_space, min_free_space)
    removed: list[str] = []
    reclaimed = 0
    for record in sorted(records, key=lambda record: record.last_used or record.created):
        job.check()
        if limit and kept <= limit:
            break
        if record.in_use or (record.shared and not all) or not accepted(record):
            continue
        if engine.build_cache.remove(record):
            removed.append(record.id)
            kept -= record.size
            reclaimed += 0 if record.shared else record.size
    engine.images.collect_garbage()
    engine.events.record("builder", "prune", "", {"reclaimed": str(reclaimed)})
    return Pruned(tuple(removed), reclaimed)


def _limit(engine: Engine, kept: int, reserved: int, most: int, free: int) -> int:
    """Return how many bytes may be kept."""
    limit = most or (kept if free else 0)
    if free:
        disk = os.statvfs(engine.config.data_root)
        limit = min(limit, kept - (free - disk.f_bavail * disk.f_frsize))
    return max(limit, reserved)


class _Accepted:
    """What filters let through."""

    def __init__(self, filters: Filters) -> None:
        refuse_unknown(filters, _FILTERS)
        self._filters = filters
        ages = [*filters.get("until", ()), *filters.get("unused-for", ())]
        if len(ages) > 1:
            raise InvalidParameter("filters expect only one value for until")
        self._before = time.time_ns() - parse_duration(ages[0]) if ages else None
        self._truths = {name: parse_truth(filters, name) for name in ("inuse", "shared", "private")}

    def __call__(self, record: CacheRecord) -> bool:
        if self._before is not None and (record.last_used or record.created) > self._before:
            return False
        truths = {"inuse": record.in_use, "shared": record.shared, "private": not record.shared}
        if any(wanted is not None and wanted != truths[name] for name, wanted in self._truths.items()):
            return False
        return (
            self._has("id", (record.id,))
            and self._has("type", (record.type,))
            and self._has("description", (record.description,))
            and self._has("parent", record.parents)
        )

    def _has(self, name: str, values: tuple[str, ...]) -> bool:
        """Return whether a value begins with what a filter says, if there is one."""
        wanted = self._filters.get(name, ())
        return not wanted or any(value.startswith(text) for value in values for text in wanted)
