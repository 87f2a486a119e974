"""Named volumes in memory: each is a tmpfs of its own, from its first use until it is removed or the machine stops.

It is mounted at `<root>/<name>/_data` (`transom.volume_directories`) and stays so between containers and daemons.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from transom.drivers.volume import Volume, VolumeDriver
from transom.errors import InvalidParameter
from transom.runtime.syscalls.mounts import is_mount_point, mount
from transom.volume_directories import VolumeDirectories

__all__ = ["TmpfsDriver"]

#: The options, as tmpfs(5) has them, and what is said of a value that is none.
_OPTIONS = {
    "size": (re.compile(r"0*[1-9][0-9]{0,18}[kmgt]?|0*[1-9][0-9]{0,2}%", re.IGNORECASE), "64m, 2g or 10%"),
    "mode": (re.compile(r"0?[0-7]{3,4}"), "0755 or 1777"),
    "uid": (re.compile(r"[0-9]{1,9}"), "a number"),
    "gid": (re.compile(r"[0-9]{1,9}"), "a number"),
}


class TmpfsDriver(VolumeDriver):
    """The volume driver `tmpfs`."""

    name: ClassVar[str] = "tmpfs"
    limits: ClassVar[tuple[str, ...]] = ("What is in a volume is gone when the machine is started again.",)

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._volumes = VolumeDirectories(root)

    def create(self, name: str, options: Mapping[str, str]) -> None:
        _check(options)
        self._volumes.make(name, options)

    def remove(self, name: str) -> None:
        self._volumes.remove(name)

    def mount(self, name: str, container: str) -> Path:  # noqa: ARG002 it stays mounted for all
        data = self._volumes.data(name)
        if not is_mount_point(data):
            options = {"mode": "0755", **(self._volumes.options(name) or {})}
            mount("tmpfs", data, "tmpfs", 0, ",".join(f"{key}={value}" for key, value in options.items()))
        return data

    def unmount(self, name: str, container: str) -> None:
        """It stays mounted, for the next container."""

    def get(self, name: str) -> Volume:
        return Volume(name, self._volumes.data(name))

    def list(self) -> list[Volume]:
        return [self.get(name) for name in self._volumes.names()]


def _check(options: Mapping[str, str]) -> None:
    for key, value in options.items():
        if key not in _OPTIONS:
            raise InvalidParameter(f"the volume driver tmpfs has no option {key!r}: there are {', '.join(_OPTIONS)}")
        pattern, example = _OPTIONS[key]
        if not pattern.fullmatch(value):
            raise InvalidParameter(f"the option {key} of the volume driver tmpfs cannot be {value!r}: write {example}")
