"""Volumes as Docker's API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transom_api.times import format_time

if TYPE_CHECKING:
    from transom.volumes import VolumeRecord

__all__ = ["volume_details"]


def volume_details(volume: VolumeRecord) -> dict[str, Any]:
    """Return all about a volume."""
    details = {
        "CreatedAt": format_time(volume.created // 1_000_000_000 * 1_000_000_000),
        "Driver": volume.driver,
        "Labels": volume.labels or None,
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": volume.options or None,
        "Scope": volume.scope,
    }
    return {**details, "Status": volume.status} if volume.status else details
