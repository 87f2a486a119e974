"""Volume drivers in other processes, by Docker's volume plugin protocol; each has its plugin's name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from transom import hookimpl
from transom.drivers import VolumeDriver
from transom.drivers.base import DriverSource

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["transom_volumedrivers"]


@hookimpl
def transom_volumedrivers(engine: Engine) -> Iterable[DriverSource[VolumeDriver]]:
    from transom_remote.driver import RemoteDrivers

    return [RemoteDrivers([Path(directory) for directory in engine.config.volume_plugins])]
