"""Paths of the machine as volumes: a volume's name is the absolute path of a file or directory that exists.

Nothing is recorded, made or removed: the path belongs to whoever made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from transom.drivers.volume import Volume, VolumeDriver
from transom.errors import InvalidParameter, NotFound

__all__ = ["BindDriver"]


class BindDriver(VolumeDriver):
    """The volume driver `bind`."""

    name: ClassVar[str] = "bind"
    copies_image_content: ClassVar[bool] = False

    def create(self, name: str, options: Mapping[str, str]) -> None:
        if options:
            raise InvalidParameter(f"the volume driver bind has no option {min(options)!r}")
        self.get(name)

    def remove(self, name: str) -> None:
        """The path is not the engine's to remove."""

    def mount(self, name: str, container: str) -> Path:  # noqa: ARG002 a path is there for all
        return self._path(name)

    def unmount(self, name: str, container: str) -> None:
        """Nothing was mounted."""

    def get(self, name: str) -> Volume:
        return Volume(name, self._path(name))

    def list(self) -> list[Volume]:
        return []

    @staticmethod
    def _path(name: str) -> Path:
        path = Path(name)
        if not path.is_absolute():
            raise InvalidParameter(f"invalid mount path: {name!r} mount path must be absolute")
        if not path.exists():
            raise NotFound(f"bind source path does not exist: {name}")
        return path
