"""Layers as complete copies.

    <root>/<layer>/tree    the layer's whole tree, with all that its ancestors have

Nothing is mounted, so this works on every file system, for every user, in every container; where the file
system can share data between files (XFS, Btrfs), a copy takes no space of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from transom.drivers.graph import GraphDriver
from transom.graph.copy import copy_tree
from transom.graph.layer_directories import LayerDirectories

__all__ = ["VfsDriver"]

_TREE = "tree"


class VfsDriver(GraphDriver):
    """The graph driver `vfs`."""

    name: ClassVar[str] = "vfs"
    rank: ClassVar[int] = 10
    merit: ClassVar[str] = "it works on every file system, by copying"
    limits: ClassVar[tuple[str, ...]] = (
        "A layer is a copy of all layers below it: slow to make and large, but where files can share data.",
        "A mount is the layer's directory itself, so a read-only mount can be written to.",
    )

    def __init__(self, root: Path, mounts: Path) -> None:
        super().__init__(root, mounts)
        self._layers = LayerDirectories(root)

    def create(self, layer: str, parent: str | None) -> None:
        source = self._layers.path(parent) / _TREE if parent is not None else None
        with self._layers.making(layer, parent) as directory:
            tree = directory / _TREE
            tree.mkdir(mode=0o755)
            tree.chmod(0o755)
            if source is not None:
                copy_tree(source, tree)

    def mount(self, layer: str, *, read_only: bool = False) -> Path:  # noqa: ARG002 a directory cannot be read-only
        return self._layers.path(layer) / _TREE

    def unmount(self, layer: str) -> None:
        """Nothing was mounted."""

    def seal(self, layer: str, name: str, parent: str | None) -> None:
        self._layers.rename(layer, name, parent)

    def remove(self, layer: str) -> None:
        self._layers.remove(layer)

    def parent(self, layer: str) -> str | None:
        return self._layers.parent(layer)

    def recover(self, known: Collection[str]) -> None:
        self._layers.recover(known)
