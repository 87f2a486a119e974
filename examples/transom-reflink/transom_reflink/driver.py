"""Layers as copies that share their data:

    <root>/<layer>/tree    the layer's whole tree, with all that its ancestors have

The file system shares what a copy does not change (ioctl_ficlone(2)), so a layer takes the time and the space of its
directories alone. XFS and Btrfs can do that.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from transom.drivers.graph import GraphDriver
from transom.errors import DriverUnavailable
from transom.graph.copy import copy_tree
from transom.graph.layer_directories import LayerDirectories
from transom.runtime.syscalls.files import clone_file

__all__ = ["ReflinkDriver"]


class ReflinkDriver(GraphDriver):
    """The graph driver `reflink`."""

    name: ClassVar[str] = "reflink"
    rank: ClassVar[int] = 20
    merit: ClassVar[str] = "a layer is a copy that shares all data with the layer below, and nothing has to be mounted"
    limits: ClassVar[tuple[str, ...]] = ("A read-only mount can be written to.",)

    @classmethod
    def probe(cls, root: Path) -> None:
        with tempfile.TemporaryFile(dir=root) as source, tempfile.TemporaryFile(dir=root) as target:
            source.write(bytes(4096))
            source.flush()
            try:
                clone_file(source.fileno(), target.fileno())
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV):
                    raise
                raise DriverUnavailable(
                    f"files in {root} cannot share data", "put the data root on XFS (reflink=1) or Btrfs"
                ) from error

    def __init__(self, root: Path, mounts: Path) -> None:
        super().__init__(root, mounts)
        self._layers = LayerDirectories(root)

    def create(self, layer: str, parent: str | None) -> None:
        source = self._layers.path(parent) / "tree" if parent is not None else None
        with self._layers.making(layer, parent) as directory:
            tree = directory / "tree"
            tree.mkdir()
            tree.chmod(0o755)
            if source is not None:
                copy_tree(source, tree)

    def mount(self, layer: str, *, read_only: bool = False) -> Path:  # noqa: ARG002 as the limits say
        return self._layers.path(layer) / "tree"

    def unmount(self, layer: str) -> None:
        """Nothing was mounted."""

    def remove(self, layer: str) -> None:
        self._layers.remove(layer)

    def parent(self, layer: str) -> str | None:
        return self._layers.parent(layer)

    def recover(self, known: Collection[str]) -> None:
        self._layers.recover(known)
