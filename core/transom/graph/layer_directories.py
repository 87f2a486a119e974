"""Where a graph driver that keeps layers in directories has them: one directory per layer, whole or not
there.

    <root>/<layer>/          what the driver puts there
    <root>/<layer>/parent    a symbolic link to the parent's directory, if the layer has a parent
    <root>/.<random>         a directory that is being made or taken away; recovery removes it

A layer's directory gets its name by a rename when it is complete, and loses it by a rename before anything
in it is removed, so that neither an error nor a crash leaves half a layer under its name.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from transom.errors import Conflict, NotFound
from transom.graph.space import storage_full
from transom.graph.trees import DIRECTORY, remove_entry

__all__ = ["LayerDirectories"]

_PARENT = "parent"


class LayerDirectories:
    """The directories of layers below `root`.

    Layers have the names that the contract of graph drivers allows. `clear` takes away, from a directory that is to be
    deleted, what cannot be deleted name by name or more quickly otherwise; it may have been made only in part.
    """

    def __init__(self, root: Path, clear: Callable[[Path], None] = lambda _: None) -> None:
        self.root = root
        self._clear = clear

    def path(self, layer: str) -> Path:
        """Return the directory of a layer. Raises `NotFound`."""
        path = self.root / layer
        if not path.is_dir():
            raise NotFound(f"no such layer: {layer} is not in {self.root}")
        return path

    @contextmanager
    def making(self, layer: str, parent: str | None) -> Iterator[Path]:
        """Give a `with` block an empty directory to fill, which is the layer's when the block ends well.

        Raises `Conflict` if there is such a layer, and `StorageFull`.
        """
        name = f".{secrets.token_hex(8)}"
        path = self.root / name
        try:
            with storage_full(f"make the layer {layer} in {self.root}"):
                path.mkdir(mode=0o700)
                if parent is not None:
                    (path / _PARENT).symlink_to(f"../{parent}")
                yield path
                try:
                    path.rename(self.root / layer)
                except OSError as error:
                    if not (self.root / layer).exists():
                        raise
                    raise Conflict(f"cannot make the layer {layer}: {self.root} has it already") from error
        except BaseException:
            self._delete(name)
            raise

    def rename(self, layer: str, name: str, parent: str | None) -> None:
        """Give a layer another name, and its parent the name that this one has now.

        Raises `NotFound`, and `Conflict` if there is one by that name.
        """
        path = self.path(layer)
        if parent is not None and parent != self.parent(layer):
            (path / f".{_PARENT}").symlink_to(f"../{parent}")
            (path / f".{_PARENT}").replace(path / _PARENT)
        try:
            path.rename(self.root / name)
        except OSError as error:
            if not (self.root / name).exists():
                raise
            raise Conflict(f"cannot name the layer {layer} {name}: {self.root} has it already") from error

    def parent(self, layer: str) -> str | None:
        """Return the name of a layer's parent. Raises `NotFound` if there is no such layer."""
        try:
            return (self.root / layer / _PARENT).readlink().name
        except FileNotFoundError:
            self.path(layer)
            return None

    def lineage(self, layer: str) -> list[str]:
        """Return a layer, its parent, and so on up to the layer without parent. Raises `NotFound`."""
        layers = [layer]
        while (parent := self.parent(layers[-1])) is not None:
            layers.append(parent)
        return layers

    def remove(self, layer: str) -> None:
        """Delete a layer's directory. Harmless if there is none."""
        name = f".{secrets.token_hex(8)}"
        try:
            (self.root / layer).rename(self.root / name)
        except FileNotFoundError:
            return
        self._delete(name)

    def recover(self, known: Collection[str]) -> None:
        """Delete every directory that is not a known layer's."""
        for name in {path.name for path in self.root.iterdir()}.difference(known):
            if name.startswith("."):
                self._delete(name)
            else:
                self.remove(name)

    def _delete(self, name: str) -> None:
        if (self.root / name).is_dir():
            self._clear(self.root / name)
        root = os.open(self.root, DIRECTORY)
        try:
            remove_entry(root, os.fsencode(name))
        finally:
            os.close(root)
