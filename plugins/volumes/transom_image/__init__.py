"""The volume driver `image`: the files of an image as a volume that can only be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom import hookimpl
from transom.drivers import VolumeDriver

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["transom_volumedrivers"]


@hookimpl
def transom_volumedrivers(engine: Engine) -> list[type[VolumeDriver]]:
    from transom_image.driver import image_driver

    return [image_driver(engine)]
