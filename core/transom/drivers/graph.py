"""The contract of graph drivers: they keep the file systems of images and containers as layers.

The life of a layer. A *layer* is a directory tree that differs from its *parent* by what was added, changed
and removed; the layer without parent is all its own. `create` makes an empty one on top of a parent. It is
filled from a layer archive by `apply` (an image's layer, which never changes afterwards) or by a container
writing below the path that `mount` returned (a container's layer, whose parent is an image's topmost layer).
`mount` makes the whole tree visible, this layer on top of all its ancestors; `unmount` takes it away; `remove`
deletes what the layer itself holds. A layer is never removed before its children.

The engine calls each method for one layer from one thread at a time, and for different layers from many
threads at once. It counts users of a mount, so a driver sees one `mount` and one `unmount`. It records a
layer before `create` and forgets it after `remove`; whatever is in between when the power goes is handed to
`recover` at the next start.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

from transom.drivers.base import Driver
from transom.errors import Unsupported

__all__ = ["Capabilities", "Change", "ChangeKind", "Deviations", "GraphDriver", "Usage"]


@dataclass(frozen=True)
class Capabilities:
    """What a graph driver can do beyond its required methods."""

    #: A layer can be created and filled before its parent exists, so that a pull unpacks in parallel.
    independent_layers: bool = False
    #: The size of a container's layer can be limited (`limit`).
    quota: bool = False
    #: Layers can be mounted with shifted owners for a user namespace.
    user_namespaces: bool = False


@dataclass(frozen=True)
class Deviations:
    """In what a container's files are otherwise than those of a plain file system; the conformance suite checks it."""

    #: A directory that a layer below has cannot be renamed (EXDEV), but for programs that copy it then, as mv(1).
    directories_stay: bool = False
    #: Names of one file in a layer below are several files once one of them is changed.
    hard_links_part: bool = False
    #: Names of one file do not share locks, nor memory that is mapped.
    hard_links_are_apart: bool = False


class ChangeKind(enum.IntEnum):
    """How a path of a layer differs from the parent; the numbers are those of Docker's API."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One path, absolute in the container, that a layer added, modified or deleted."""

    path: bytes
    kind: ChangeKind


@dataclass(frozen=True, slots=True)
class Usage:
    """What a layer by itself, without its ancestors, occupies: bytes of disk, and number of inodes."""

    size: int
    inodes: int


class GraphDriver(Driver):
    """Keeps layers. Only `create`, `mount`, `unmount` and `remove` must be written; the rest works on top.

    `root` is the driver's own directory, which lasts. `mounts` is a directory that a reboot empties, for mount
    points. Both exist. Layer names are 1 to 128 characters from `[a-z0-9-]`.
    """

    kind = "graph"

    capabilities: ClassVar[Capabilities] = Capabilities()
    deviations: ClassVar[Deviations] = Deviations()

    def __init__(self, root: Path, mounts: Path) -> None:
        self.root = root
        self.mounts = mounts
        #: Called, from any thread, with the name of a layer whose mount has died, as one that a process serves can.
        #: It stays so until `unmount`.
        self.on_loss: Callable[[str], object] = lambda _: None

    @abstractmethod
    def create(self, layer: str, parent: str | None) -> None:
        """Make an empty layer on top of `parent`. Nothing of it is left if this raises."""

    @abstractmethod
    def mount(self, layer: str, *, read_only: bool = False) -> Path:
        """Make the layer's whole tree visible and return the path of its root directory.

        A layer that is mounted already (by this engine before it was killed) is left so, and its path
        returned.
        """

    @abstractmethod
    def unmount(self, layer: str) -> None:
        """Undo `mount`. Harmless for a layer that is not mounted."""

    @abstractmethod
    def remove(self, layer: str) -> None:
        """Delete what the layer holds. Harmless for a layer that does not exist or is half made."""

    def limit(self, layer: str, size: int) -> None:
        """Let a layer, with all that it shows of its ancestors, hold at most so many bytes from now on.

        Who writes more gets EDQUOT or ENOSPC. It is called for a container's layer that `create` has just made. Raises
        `Unsupported` unless `capabilities.quota`.
        """
        raise Unsupported(f"the graph driver {self.name!r} cannot limit the size of the layer {layer} to {size} bytes")

    def apply(self, layer: str, archive: IO[bytes]) -> int:
        """Fill a fresh layer from an uncompressed layer archive, and return the bytes of its regular files and links.

        The archive is a tar with whiteouts (OCI image specification, layer.md). It is untrusted: nothing
        outside the layer is ever touched. Raises `CorruptContent` for what is not a layer archive, and
        `StorageFull`.
        """
        from transom.graph.extract import extract

        with self.mounted(layer) as tree:
            return extract(archive, tree).size

    def diff(self, layer: str, placeholders: Collection[bytes] = ()) -> Iterator[bytes]:
        """Yield, in chunks, the layer archive that `apply` on a layer with the same parent would turn into it.

        `placeholders` are paths, relative to the root, of what the engine mounts on. An empty file or a directory that
        the layer has there and its parent has not is left out; what is in such a directory is not.
        """
        from transom.graph.difference import write_difference

        with self._with_parent(layer) as (lower, upper):
            yield from write_difference(lower, upper, placeholders)

    def seal(self, layer: str, name: str, parent: str | None) -> None:
        """Give a layer that nobody writes to any more another name, under which it is a layer of an image.

        Neither it nor what stands on it is mounted. Afterwards it is as if `create` on top of `parent` and `apply` of
        its `diff` had made it by the new name. `parent` holds what its parent holds: its parent itself, or what that
        was sealed as. Whether there still is one by the old name is the driver's affair: the engine removes it, after
        everything that stood on it was sealed too. If this raises, what there is by either name is half made. Raises
        `Conflict` if there is one by the new name.
        """
        from transom.graph.streams import stream_of

        self.create(name, parent)
        self.apply(name, stream_of(self.diff(layer)))

    def changes(self, layer: str, placeholders: Collection[bytes] = ()) -> list[Change]:
        """Return what the layer changed, parents before what is in them, in the order of their paths.

        `placeholders` are left out as in `diff`.
        """
        from transom.graph.difference import find_changes

        with self._with_parent(layer) as (lower, upper):
            return list(find_changes(lower, upper, placeholders))

    def usage(self, layer: str) -> Usage:
        """Return what the layer by itself occupies."""
        from transom.graph.difference import measure_difference

        with self._with_parent(layer) as (lower, upper):
            return measure_difference(lower, upper)

    @abstractmethod
    def parent(self, layer: str) -> str | None:
        """Return the name that `create` was given as the layer's parent."""

    def status(self) -> list[tuple[str, str]]:
        """Return pairs of a label and a value for `info`: "Backing Filesystem", "extfs"."""
        return []

    def recover(self, known: Collection[str]) -> None:
        """Called once at the engine's start, before anything else: remove every layer that is not in `known`."""

    def close(self) -> None:
        """Called once, last, when the engine closes. What is mounted stays so."""

    @contextmanager
    def mounted(self, layer: str, *, read_only: bool = False) -> Iterator[Path]:
        """Mount the layer for the length of a `with` block."""
        path = self.mount(layer, read_only=read_only)
        try:
            yield path
        finally:
            self.unmount(layer)

    @contextmanager
    def _with_parent(self, layer: str) -> Iterator[tuple[Path | None, Path]]:
        """Mount the parent, if there is one, and the layer, both to be read."""
        parent = self.parent(layer)
        with self.mounted(layer, read_only=True) as upper:
            if parent is None:
                yield None, upper
            else:
                with self.mounted(parent, read_only=True) as lower:
                    yield lower, upper
