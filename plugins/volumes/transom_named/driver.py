"""Named volumes, kept as Docker's driver of that name keeps them.

<root>/<name>/_data          the content
<root>/<name>/options.json   what is mounted there while a container uses the volume, if anything
<root>/<name>/users/<id>     empty, one for each container that uses a volume that is mounted
<root>/.<random>              a volume that is being made or taken away
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from transom.drivers.volume import Volume, VolumeDriver
from transom.errors import Conflict, NotFound, Unavailable
from transom.graph.space import storage_full
from transom.graph.trees import DIRECTORY, remove_entry
from transom.runtime.syscalls.mounts import is_mount_point, umount2
from transom_named.options import MountOptions

__all__ = ["LocalDriver"]

_DATA, _OPTIONS, _USERS = "_data", "options.json", "users"


class LocalDriver(VolumeDriver):
    """The volume driver `local`. Calls for one volume come from one thread at a time."""

    name: ClassVar[str] = "local"
    rank: ClassVar[int] = 100
    limits: ClassVar[tuple[str, ...]] = ("The size of a volume cannot be limited.",)

    def create(self, name: str, options: Mapping[str, str]) -> None:
        wanted = MountOptions.parse(options)
        volume = self.root / name
        if volume.exists():
            return
        making = self.root / f".{name}.new"
        self._delete(making.name)
        try:
            with storage_full(f"make the volume {name}"):
                making.mkdir(mode=0o701)
                for directory, mode in ((_DATA, 0o755), (_USERS, 0o700)):
                    (making / directory).mkdir()
                    (making / directory).chmod(mode)
                if wanted is not None:
                    (making / _OPTIONS).write_text(json.dumps(dict(options)))
                making.rename(volume)
        except BaseException:
            self._delete(making.name)
            raise

    def remove(self, name: str) -> None:
        volume = self.root / name
        if is_mount_point(volume / _DATA):
            if any((volume / _USERS).iterdir()):
                raise Conflict(f"remove {name}: volume is in use")
            umount2(volume / _DATA)
        # What an engine that was killed left is taken away too.
        for left in (f".{name}.new", f".{name}.old"):
            self._delete(left)
        try:
            volume.rename(self.root / f".{name}.old")
        except FileNotFoundError:
            return
        self._delete(f".{name}.old")

    def mount(self, name: str, container: str) -> Path:
        volume = self._find(name)
        data = volume / _DATA
        options = self._options(volume)
        if options is None:
            return data
        mounted = is_mount_point(data)
        if not mounted:
            # Who is listed used it before the machine was started again.
            for user in (volume / _USERS).iterdir():
                user.unlink()
        (volume / _USERS / container).touch()
        if not mounted:
            try:
                options.mount(data)
            except OSError as error:
                (volume / _USERS / container).unlink()
                raise Unavailable(
                    f"failed to mount local volume: mount {options.device}:{data}, {options}:"
                    f" {os.strerror(error.errno or 0)}"
                ) from error
        return data

    def unmount(self, name: str, container: str) -> None:
        volume = self.root / name
        (volume / _USERS / container).unlink(missing_ok=True)
        if is_mount_point(volume / _DATA) and not any((volume / _USERS).iterdir()):
            umount2(volume / _DATA)

    def get(self, name: str) -> Volume:
        return Volume(name, self._find(name) / _DATA)

    def list(self) -> list[Volume]:
        # What is left of volumes that were being made or taken away when an engine was killed is nobody's.
        names = sorted(path.name for path in self.root.iterdir())
        return [self.get(name) for name in names if not name.startswith(".")]

    def _find(self, name: str) -> Path:
        volume = self.root / name
        if not (volume / _DATA).is_dir():
            raise NotFound(f"get {name}: no such volume")
        return volume

    @staticmethod
    def _options(volume: Path) -> MountOptions | None:
        try:
            return MountOptions.parse(json.loads((volume / _OPTIONS).read_text()))
        except FileNotFoundError:
            return None

    def _delete(self, name: str) -> None:
        root = os.open(self.root, DIRECTORY)
        try:
            remove_entry(root, os.fsencode(name))
        finally:
            os.close(root)
