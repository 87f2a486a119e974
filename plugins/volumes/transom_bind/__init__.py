"""The volume driver `bind`: paths of the machine as volumes."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import VolumeDriver

__all__ = ["transom_volumedrivers"]


@hookimpl
def transom_volumedrivers() -> list[type[VolumeDriver]]:
    from transom_bind.driver import BindDriver

    return [BindDriver]
