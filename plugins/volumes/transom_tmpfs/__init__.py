"""The volume driver `tmpfs`: named volumes in memory."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import VolumeDriver

__all__ = ["transom_volumedrivers"]


@hookimpl
def transom_volumedrivers() -> list[type[VolumeDriver]]:
    from transom_tmpfs.driver import TmpfsDriver

    return [TmpfsDriver]
