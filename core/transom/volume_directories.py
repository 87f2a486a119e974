"""Where a volume driver that keeps volumes in directories has them: one directory per volume, whole or not there.

    <root>/<name>/_data          the content
    <root>/<name>/options.json   what the driver was told to remember, if anything
    <root>/<name>/users/<id>     empty, one for each container that uses a volume that is mounted
    <root>/.<name>.new, .old     a volume that is being made or taken away

A volume's directory gets its name by a rename when it is complete, and loses it by a rename before anything in it is
removed. Calls for one volume come from one thread at a time.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from transom.errors import Conflict, NotFound
from transom.graph.space import storage_full
from transom.graph.trees import DIRECTORY, remove_entry
from transom.runtime.syscalls.mounts import is_mount_point, umount2

__all__ = ["VolumeDirectories"]

_DATA, _OPTIONS, _USERS = "_data", "options.json", "users"


class VolumeDirectories:
    """The directories of volumes below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def make(self, name: str, options: Mapping[str, str] | None = None) -> None:
        """Make an empty volume with what `options` will return; one that exists stays so. Raises `StorageFull`."""
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
                if options is not None:
                    (making / _OPTIONS).write_text(json.dumps(dict(options)))
                making.rename(volume)
        except BaseException:
            self._delete(making.name)
            raise

    def remove(self, name: str) -> None:
        """Unmount and delete a volume, and what a killed engine left of it. Raises `Conflict` for one in use."""
        volume = self.root / name
        if is_mount_point(volume / _DATA):
            if any((volume / _USERS).iterdir()):
                raise Conflict(f"remove {name}: volume is in use")
            self._unmount(name)
        for left in (f".{name}.new", f".{name}.old"):
            self._delete(left)
        try:
            volume.rename(self.root / f".{name}.old")
        except FileNotFoundError:
            return
        self._delete(f".{name}.old")

    def data(self, name: str) -> Path:
        """Return where a volume's content is. Raises `NotFound`."""
        data = self.root / name / _DATA
        if not data.is_dir():
            raise NotFound(f"get {name}: no such volume")
        return data

    def options(self, name: str) -> dict[str, str] | None:
        """Return what a volume was made with, None for nothing."""
        try:
            return dict(json.loads((self.root / name / _OPTIONS).read_text()))
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Return the names of all volumes, in order."""
        # What is left of volumes that were being made or taken away when an engine was killed is nobody's.
        return sorted(path.name for path in self.root.iterdir() if not path.name.startswith("."))

    # Volumes that are mounted

    def mount(self, name: str, container: str, mount: Callable[[Path], None]) -> Path:
        """Let a volume be mounted on behalf of a container, by `mount` where none uses it yet, and return where.

        Raises `NotFound`, and what `mount` raises; the container is no user then.
        """
        data = self.data(name)
        users = self.root / name / _USERS
        mounted = is_mount_point(data)
        if not mounted:
            # Who is listed used it before the machine was started again.
            for user in users.iterdir():
                user.unlink()
        (users / container).touch()
        if not mounted:
            try:
                mount(data)
            except BaseException:
                (users / container).unlink()
                raise
        return data

    def unmount(self, name: str, container: str) -> None:
        """Say that a container no longer uses a mounted volume, which is unmounted with its last user."""
        volume = self.root / name
        (volume / _USERS / container).unlink(missing_ok=True)
        if is_mount_point(volume / _DATA) and not any((volume / _USERS).iterdir()):
            umount2(volume / _DATA)

    def _unmount(self, name: str) -> None:
        try:
            umount2(self.root / name / _DATA)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            raise Conflict(f"remove {name}: volume is in use: a process works in {self.root / name / _DATA}") from error

    def _delete(self, name: str) -> None:
        root = os.open(self.root, DIRECTORY)
        try:
            remove_entry(root, os.fsencode(name))
        finally:
            os.close(root)
