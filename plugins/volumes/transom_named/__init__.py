"""The volume driver `local`: named volumes in the data root."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import VolumeDriver

__all__ = ["transom_volumedrivers"]


@hookimpl
def transom_volumedrivers() -> list[type[VolumeDriver]]:
    from transom_named.driver import LocalDriver

    return [LocalDriver]
