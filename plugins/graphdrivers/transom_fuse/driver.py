"""Layers for a union file system in Python, kept as `transom.graph.stacked_layers` says, and

<mounts>/.servers        pipes and complaints of the processes that serve mounts
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import ClassVar

from transom.drivers.graph import Deviations
from transom.errors import Unavailable
from transom.graph.file_systems import file_system_name
from transom.graph.stacked_layers import StackedLayers
from transom.runtime.syscalls.mounts import MNT_DETACH, is_mount_point, umount2
from transom_fuse.lower import Lower
from transom_fuse.probe import DEVICE, mount_device, probe_fuse
from transom_fuse.servers import Servers
from transom_fuse.union import Tree

__all__ = ["FuseDriver"]

_SERVERS = ".servers"
#: Directories that are kept open while layers are compared.
_MOST_OPEN = 64


class FuseDriver(StackedLayers):
    """The graph driver `fuse`."""

    name: ClassVar[str] = "fuse"
    rank: ClassVar[int] = 30
    merit: ClassVar[str] = (
        "shared layers are put together in a process for each mount, and a file is copied when changed"
    )
    deviations: ClassVar[Deviations] = Deviations(hard_links_part=True, hard_links_are_apart=True)
    limits: ClassVar[tuple[str, ...]] = (
        "A file with several names in a layer below is several files once one of them is changed, as with overlay.",
        "Names of one file share no memory that is mapped and no locks.",
        "What was written to mapped memory is in a commit once it is flushed (msync, close).",
        "Files without a name (O_TMPFILE) cannot be opened.",
        "Renaming a directory of a layer below copies all that is in it.",
        "On libfuse 2 there are no lists of permissions (acl) and no exchange of names, and attributes are not kept.",
    )

    @classmethod
    def probe(cls, root: Path) -> None:
        probe_fuse(root)

    def __init__(self, root: Path, mounts: Path) -> None:
        super().__init__(root, mounts)
        directory = mounts / _SERVERS
        directory.mkdir(mode=0o700, exist_ok=True)
        self._servers = Servers(directory, lambda layer: self.on_loss(layer))

    def attach(self, target: Path, layers: Sequence[Path], work: Path | None) -> None:
        try:
            device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"cannot mount the layer {target.name}: {DEVICE}: {error.strerror}") from error
        try:
            mount_device(device, target, read_only=work is None)
            try:
                self._servers.start(target.name, device, self.root, layers, work)
            except BaseException:
                umount2(target, MNT_DETACH)
                raise
        finally:
            os.close(device)

    def detach(self, target: Path) -> None:
        self._servers.forget(target.name)
        super().detach(target)

    @contextmanager
    def view(self, layer: str) -> Iterator[Lower]:
        """The union itself is read: that needs neither a mount nor a server."""
        with closing(Tree(self.directories(layer), None, most_open=_MOST_OPEN)) as tree:
            yield Lower(tree)

    def status(self) -> list[tuple[str, str]]:
        return [("Backing Filesystem", file_system_name(self.root))]

    def recover(self, known: Collection[str]) -> None:
        """Besides layers nobody knows, remove mounts that nobody serves any more."""
        super().recover({*known, _SERVERS})
        for layer in known:
            target = self.mounts / layer
            if is_mount_point(target) and not self._servers.find(layer):
                self.detach(target)

    def close(self) -> None:
        self._servers.close()
