"""What is kept of builds, as JSON with Docker's names."""

from __future__ import annotations

from typing import Any

from transom.builds import CacheRecord
from transom_api.times import format_time

__all__ = ["cache_record"]


def cache_record(record: CacheRecord) -> dict[str, Any]:
    """Return a `BuildCache`."""
    return {
        "ID": record.id,
        "Parents": list(record.parents) or None,
        "Type": record.type,
        "Description": record.description,
        "InUse": record.in_use,
        "Shared": record.shared,
        "Size": record.size,
        "CreatedAt": format_time(record.created),
        "LastUsedAt": None if record.last_used is None else format_time(record.last_used),
        "UsageCount": record.usage_count,
    }
