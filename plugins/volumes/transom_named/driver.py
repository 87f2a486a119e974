"""Named volumes, kept as Docker's driver of that name keeps them: `<root>/<name>/_data` is the content.

A volume with options is what they say, mounted there while a container uses it (`transom.volume_directories`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from transom.drivers.volume import Volume, VolumeDriver
from transom.errors import Unavailable
from transom.volume_directories import VolumeDirectories
from transom_named.options import MountOptions

__all__ = ["LocalDriver"]


class LocalDriver(VolumeDriver):
    """The volume driver `local`."""

    name: ClassVar[str] = "local"
    rank: ClassVar[int] = 100
    limits: ClassVar[tuple[str, ...]] = ("The size of a volume cannot be limited.",)

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._volumes = VolumeDirectories(root)

    def create(self, name: str, options: Mapping[str, str]) -> None:
        wanted = MountOptions.parse(options)
        self._volumes.make(name, None if wanted is None else options)

    def remove(self, name: str) -> None:
        self._volumes.remove(name)

    def mount(self, name: str, container: str) -> Path:
        data = self._volumes.data(name)
        options = MountOptions.parse(self._volumes.options(name) or {})
        if options is None:
            return data

        def mount(target: Path) -> None:
            try:
                options.mount(target)
            except OSError as error:
                raise Unavailable(
                    f"failed to mount local volume: mount {options.device}:{target}, {options}:"
                    f" {os.strerror(error.errno or 0)}"
                ) from error

        return self._volumes.mount(name, container, mount)

    def unmount(self, name: str, container: str) -> None:
        self._volumes.unmount(name, container)

    def get(self, name: str) -> Volume:
        return Volume(name, self._volumes.data(name))

    def list(self) -> list[Volume]:
        return [self.get(name) for name in self._volumes.names()]
