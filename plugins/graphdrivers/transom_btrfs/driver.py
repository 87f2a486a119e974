"""Layers as snapshots.

    <root>/<layer>/tree    a subvolume, the layer's whole tree: a snapshot of the parent's, then changed

Nothing is mounted, and a layer takes the space of what it changed, however many are below it.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from transom.drivers.graph import Capabilities, GraphDriver
from transom.errors import DriverUnavailable
from transom.graph.copy import copy_tree
from transom.graph.file_systems import file_system_name
from transom.graph.layer_directories import LayerDirectories
from transom.graph.trees import DIRECTORY
from transom.runtime.syscalls.btrfs import (
    BTRFS_MAGIC,
    create_snapshot,
    create_subvolume,
    destroy_subvolume,
    enable_quota,
    is_subvolume,
    limit_subvolume,
    remove_qgroup,
    subvolume_id,
    subvolumes_in,
)
from transom.runtime.syscalls.files import file_system_type, openat2

__all__ = ["BtrfsDriver"]

_TREE = "tree"
#: A file system that counts nothing has no qgroups, and Linux removes them by itself since 6.10.
_NO_QGROUP = (errno.ENOTCONN, errno.ENOENT, errno.EBUSY, errno.EINVAL)
_ELSEWHERE = "put the data root on a Btrfs file system (mkfs.btrfs, then --data-root), or choose another graph driver"


class BtrfsDriver(GraphDriver):
    """The graph driver `btrfs`."""

    name: ClassVar[str] = "btrfs"
    rank: ClassVar[int] = 50
    capabilities: ClassVar[Capabilities] = Capabilities(quota=True)
    merit: ClassVar[str] = "a layer is a snapshot of the one below: made at once, sharing what it does not change"
    limits: ClassVar[tuple[str, ...]] = (
        "A mount is the layer's directory itself, so a read-only mount can be written to.",
        "The size of a container's files can be limited, but df shows the whole file system, and subvolumes that the"
        " container makes are not counted.",
    )

    @classmethod
    def probe(cls, root: Path) -> None:
        if file_system_type(root) != BTRFS_MAGIC:
            raise DriverUnavailable(f"{root} is on {file_system_name(root)}, not on Btrfs", _ELSEWHERE)
        try:
            with tempfile.TemporaryDirectory(prefix=".probe-", dir=root) as scratch, _opened(Path(scratch)) as place:
                create_subvolume(place, b"subvolume")
                destroy_subvolume(place, b"subvolume")
        except OSError as error:
            remedy = "run as root with CAP_SYS_ADMIN" if error.errno == errno.EPERM else _ELSEWHERE
            raise DriverUnavailable(f"subvolumes cannot be made in {root}: {error.strerror}", remedy) from error

    def __init__(self, root: Path, mounts: Path) -> None:
        super().__init__(root, mounts)
        self._layers = LayerDirectories(root, clear=_destroy_tree)

    def create(self, layer: str, parent: str | None) -> None:
        source = self._layers.path(parent) / _TREE if parent is not None else None
        with self._layers.making(layer, parent) as directory, _opened(directory) as place:
            if source is None:
                create_subvolume(place, _TREE.encode())
                (directory / _TREE).chmod(0o755)
                return
            with _opened(source) as snapshotted:
                if not _has_subvolumes(snapshotted):
                    create_snapshot(place, _TREE.encode(), snapshotted)
                    return
            # As `seal`: what is in subvolumes of a parent that is not sealed is there too.
            create_subvolume(place, _TREE.encode())
            copy_tree(source, directory / _TREE)

    def limit(self, layer: str, size: int) -> None:
        """Limit what the layer's subvolume refers to. The first limit turns on the file system's quota."""
        with _opened(self.root) as root:
            enable_quota(root)
        with _opened(self._layers.path(layer) / _TREE) as tree:
            limit_subvolume(tree, size)

    def mount(self, layer: str, *, read_only: bool = False) -> Path:  # noqa: ARG002 as the limits say
        return self._layers.path(layer) / _TREE

    def unmount(self, layer: str) -> None:
        """Nothing was mounted."""

    def remove(self, layer: str) -> None:
        self._layers.remove(layer)

    def seal(self, layer: str, name: str, parent: str | None) -> None:
        with _opened(self._layers.path(layer) / _TREE) as tree:
            nested = _has_subvolumes(tree)
        if nested:
            # A snapshot has none of what is in subvolumes of its source: they become directories.
            super().seal(layer, name, parent)
        else:
            self._layers.rename(layer, name, parent)

    def parent(self, layer: str) -> str | None:
        return self._layers.parent(layer)

    def status(self) -> list[tuple[str, str]]:
        return [("Backing Filesystem", file_system_name(self.root))]

    def recover(self, known: Collection[str]) -> None:
        self._layers.recover(known)


def _has_subvolumes(tree: int) -> bool:
    return any(True for _ in subvolumes_in(tree))


def _destroy_tree(directory: Path) -> None:
    """Destroy the subvolume in a layer's directory, and first those that containers made in it."""
    with _opened(directory) as place:
        try:
            status = os.stat(_TREE, dir_fd=place, follow_symlinks=False)
        except FileNotFoundError:
            return
        if is_subvolume(status):
            _destroy(place, _TREE.encode())


def _destroy(directory: int, name: bytes) -> None:
    root = os.open(name, DIRECTORY, dir_fd=directory)
    try:
        number = subvolume_id(root)
        try:
            destroy_subvolume(directory, name)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            _destroy_nested(root)
            destroy_subvolume(directory, name)
    finally:
        os.close(root)
    try:
        remove_qgroup(directory, number)
    except OSError as error:
        if error.errno not in _NO_QGROUP:
            raise


def _destroy_nested(root: int) -> None:
    """Destroy the subvolumes in an open one."""
    for path in list(subvolumes_in(root)):
        above, _, below = path.rpartition(b"/")
        place = openat2(root, above or b".", DIRECTORY)
        try:
            _destroy(place, below)
        finally:
            os.close(place)


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
