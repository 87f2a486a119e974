"""Layers for the kernel's overlayfs.

    <root>/<layer>/diff      what the layer adds and changes, with overlayfs's own whiteouts for what it removes
    <root>/<layer>/work      overlayfs's working directory
    <root>/<layer>/parent    a symbolic link to the parent's directory
    <root>/.empty            stands below a layer that has no parent, since overlayfs wants something there
    <mounts>/<layer>         where the layer is mounted

A layer's directory says nothing of its ancestors but the parent's name, so layers are made and filled in
any order.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, ClassVar

from transom.drivers.graph import Capabilities, Change, GraphDriver, Usage
from transom.errors import Unsupported
from transom.graph.copy import copy_attributes
from transom.graph.difference import find_upper_changes, measure_difference, write_upper
from transom.graph.extract import extract
from transom.graph.file_systems import file_system_name
from transom.graph.layer_directories import LayerDirectories
from transom.graph.whiteouts import OPAQUE_ATTRIBUTE, Whiteouts
from transom.runtime.syscalls.mounts import MNT_DETACH, UMOUNT_NOFOLLOW, is_mount_point, umount2
from transom_overlay.mounting import SCRATCH_PREFIX, mount_overlay
from transom_overlay.probe import probe_overlay

__all__ = ["OverlayDriver"]

_EMPTY = ".empty"
#: What the kernel takes below the writable layer (OVL_MAX_STACK).
_MOST_LAYERS = 500


class OverlayDriver(GraphDriver):
    """The graph driver `overlay`."""

    name: ClassVar[str] = "overlay"
    rank: ClassVar[int] = 100
    merit: ClassVar[str] = "the kernel puts shared layers together, and copies a file when it is first changed"
    capabilities: ClassVar[Capabilities] = Capabilities(independent_layers=True)

    @classmethod
    def probe(cls, root: Path) -> None:
        probe_overlay(root)

    def __init__(self, root: Path, mounts: Path) -> None:
        super().__init__(root, mounts)
        self._layers = LayerDirectories(root)
        self._empty = root / _EMPTY

    # Layers

    def create(self, layer: str, parent: str | None) -> None:
        with self._layers.making(layer, parent) as directory:
            diff = directory / "diff"
            diff.mkdir()
            diff.chmod(0o755)
            (directory / "work").mkdir(mode=0o700)
            if parent is not None and (above := self.root / parent / "diff").exists():
                # overlayfs shows the topmost layer's root directory. Where the parent is not there yet, the
                # archive's entry for the root is all there is.
                copy_attributes(above, diff)

    def parent(self, layer: str) -> str | None:
        return self._layers.parent(layer)

    def remove(self, layer: str) -> None:
        self.unmount(layer)
        self._layers.remove(layer)

    def apply(self, layer: str, archive: IO[bytes]) -> int:
        return extract(archive, self._diff(layer), whiteouts=Whiteouts.OVERLAY).size

    def seal(self, layer: str, name: str) -> None:
        self._layers.rename(layer, name)

    def _diff(self, layer: str) -> Path:
        return self._layers.path(layer) / "diff"

    # Mounts

    def mount(self, layer: str, *, read_only: bool = False) -> Path:
        target = self.mounts / layer
        if is_mount_point(target):
            if read_only or not os.statvfs(target).f_flag & os.ST_RDONLY:
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
        directories = list(_visible(self.root / name / "diff" for name in self._layers.lineage(layer)))
        if len(directories) > _MOST_LAYERS:
            raise Unsupported(
                f"overlayfs takes at most {_MOST_LAYERS} layers and this has {len(directories)}: use another graph"
                " driver, vfs for one (--graphdriver vfs, or --storage-opt driver=vfs)"
            )
        self._empty.mkdir(mode=0o755, exist_ok=True)
        if read_only:
            mount_overlay(target, [*directories, self._empty])
        else:
            mount_overlay(target, directories[1:] or [self._empty], directories[0], self.root / layer / "work")

    def unmount(self, layer: str) -> None:
        _unmount(self.mounts / layer)

    @contextmanager
    def _view(self, layer: str | None) -> Iterator[Path | None]:
        """Mount a layer for reading at a place of its own, whoever else has it mounted."""
        if layer is None:
            yield None
            return
        target = Path(tempfile.mkdtemp(prefix=".view-", dir=self.mounts))
        try:
            self._mount(layer, target, read_only=True)
            yield target
        finally:
            _unmount(target)

    # What a layer holds

    def diff(self, layer: str, placeholders: Collection[bytes] = ()) -> Iterator[bytes]:
        with self._view(self.parent(layer)) as lower:
            yield from write_upper(self._diff(layer), lower, placeholders)

    def changes(self, layer: str, placeholders: Collection[bytes] = ()) -> list[Change]:
        with self._view(self.parent(layer)) as lower:
            return list(find_upper_changes(self._diff(layer), lower, placeholders))

    def usage(self, layer: str) -> Usage:
        return measure_difference(None, self._diff(layer))

    def status(self) -> list[tuple[str, str]]:
        return [("Backing Filesystem", file_system_name(self.root))]

    def recover(self, known: Collection[str]) -> None:
        for name in _names(self.mounts):
            if name not in known:
                # Scratch directories of links were never mounted, and are not empty.
                for link in (self.mounts / name).glob("*") if name.startswith(SCRATCH_PREFIX) else ():
                    link.unlink()
                _unmount(self.mounts / name)
        for name in _names(self.root):
            if name.startswith(".probe-"):
                _unmount(self.root / name / "target")
        self._layers.recover({*known, _EMPTY})


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


def _unmount(target: Path) -> None:
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


def _names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]
