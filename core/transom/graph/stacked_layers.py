"""What drivers share that stack layers by a union file system: a layer has a directory with what it adds and changes,
and overlayfs's whiteouts for what it removes (kernel documentation, filesystems/overlayfs).

    <root>/<layer>/diff      what the layer adds and changes
    <root>/<layer>/work      the file system's working directory
    <root>/<layer>/parent    a symbolic link to the parent's directory
    <mounts>/<layer>         where the layer is mounted

A layer's directory says nothing of its ancestors but the parent's name, so layers are made and filled in any order.
"""

from __future__ import annotations

import errno
import os
import tempfile
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, ClassVar

from transom.drivers.graph import Capabilities, Change, GraphDriver, Usage
from transom.graph.comparison import ComparedTree
from transom.graph.copy import copy_attributes
from transom.graph.difference import find_upper_changes, measure_difference, write_upper
from transom.graph.extract import extract
from transom.graph.layer_directories import LayerDirectories
from transom.graph.whiteouts import OPAQUE_ATTRIBUTE, Whiteouts
from transom.runtime.syscalls.mounts import MNT_DETACH, UMOUNT_NOFOLLOW, is_mount_point, umount2

__all__ = ["StackedLayers"]


class StackedLayers(GraphDriver):
    """A graph driver of this kind. It says how layers are mounted."""

    capabilities: ClassVar[Capabilities] = Capabilities(independent_layers=True)

    #: Names in `root` that are no layers.
    own_names: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, root: Path, mounts: Path) -> None:
        super().__init__(root, mounts)
        self._layers = LayerDirectories(root)

    @abstractmethod
    def attach(self, target: Path, layers: Sequence[Path], work: Path | None) -> None:
        """Mount the directories `layers`, topmost first, at a directory.

        With a working directory, the topmost of them takes all changes; without, nothing can be changed.
        """

    def detach(self, target: Path) -> None:
        """Unmount what is mounted at a directory, if anything is, and remove the directory."""
        try:
            umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT):
                raise
        try:
            target.rmdir()
        except FileNotFoundError:
            pass

    # Layers

    def create(self, layer: str, parent: str | None) -> None:
        with self._layers.making(layer, parent) as directory:
            diff = directory / "diff"
            diff.mkdir()
            diff.chmod(0o755)
            (directory / "work").mkdir(mode=0o700)
            if parent is not None and (above := self.root / parent / "diff").exists():
                # The topmost layer's root directory is shown. Where the parent is not there yet, the archive's entry
                # for the root is all there is.
                copy_attributes(above, diff)

    def parent(self, layer: str) -> str | None:
        return self._layers.parent(layer)

    def remove(self, layer: str) -> None:
        self.unmount(layer)
        self._layers.remove(layer)

    def apply(self, layer: str, archive: IO[bytes]) -> int:
        return extract(archive, self._diff(layer), whiteouts=Whiteouts.OVERLAY).size

    def seal(self, layer: str, name: str, parent: str | None) -> None:
        self._layers.rename(layer, name, parent)

    def _diff(self, layer: str) -> Path:
        return self._layers.path(layer) / "diff"

    # Mounts

    def mount(self, layer: str, *, read_only: bool = False) -> Path:
        target = self.mounts / layer
        if is_mount_point(target):
            if read_only or _is_writable(target):
                return target
            self.unmount(layer)
        target.mkdir(mode=0o700, exist_ok=True)
        try:
            self._mount(layer, target, read_only=read_only)
        except BaseException:
            target.rmdir()
            raise
        return target

    def _mount(self, layer: str, target: Path, *, read_only: bool) -> None:
        self.attach(target, self.directories(layer), None if read_only else self.root / layer / "work")

    def unmount(self, layer: str) -> None:
        self.detach(self.mounts / layer)

    def directories(self, layer: str) -> list[Path]:
        """Return what a layer's tree is put together from, topmost first."""
        return list(_visible(self.root / name / "diff" for name in self._layers.lineage(layer)))

    @contextmanager
    def view(self, layer: str) -> Iterator[Path | ComparedTree]:
        """Give a `with` block a layer's whole tree to be read, whoever else has it mounted.

        By default it is mounted at a place of its own.
        """
        target = Path(tempfile.mkdtemp(prefix=".view-", dir=self.mounts))
        try:
            self._mount(layer, target, read_only=True)
            yield target
        finally:
            self.detach(target)

    # What a layer holds

    def _below(self, layer: str) -> AbstractContextManager[Path | ComparedTree | None]:
        parent = self.parent(layer)
        return nullcontext() if parent is None else self.view(parent)

    def diff(self, layer: str, placeholders: Collection[bytes] = ()) -> Iterator[bytes]:
        with self._below(layer) as lower:
            yield from write_upper(self._diff(layer), lower, placeholders)

    def changes(self, layer: str, placeholders: Collection[bytes] = ()) -> list[Change]:
        with self._below(layer) as lower:
            return list(find_upper_changes(self._diff(layer), lower, placeholders))

    def usage(self, layer: str) -> Usage:
        return measure_difference(None, self._diff(layer))

    def recover(self, known: Collection[str]) -> None:
        for path in list(self.mounts.iterdir()):
            if path.name not in known:
                self.detach(path)
        for path in list(self.root.iterdir()):
            if path.name.startswith(".probe-"):
                self.detach(path / "target")
        self._layers.recover({*known, *self.own_names})


def _is_writable(target: Path) -> bool:
    try:
        return not os.statvfs(target).f_flag & os.ST_RDONLY
    except OSError:
        # What serves it is gone.
        return False


def _visible(directories: Iterable[Path]) -> Iterator[Path]:
    """Yield the layers of a stack, topmost first, down to one whose root hides all below it.

    overlayfs itself asks every directory but the root whether it is opaque.
    """
    for directory in directories:
        yield directory
        try:
            os.getxattr(directory, OPAQUE_ATTRIBUTE)
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
                raise
        else:
            return
