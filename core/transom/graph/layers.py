"""The layer store: which layers each graph driver has, and who uses them.

A layer of an image is named by the hexadecimal digits of its chain ID, a container's own layer by the
container's ID. The same layer can be there for several drivers; each is a *snapshot* in the database. A
snapshot is recorded before the driver makes it, and is *ready* when it is complete and flushed to the disk; what
is not ready at the engine's start is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from transom.catalog import Shelf
from transom.drivers.graph import Change, GraphDriver, Usage
from transom.graph.content import ContentStore
from transom.graph.db import GraphDB
from transom.graph.digest import Digest
from transom.graph.lease import Lease
from transom.graph.model import Image

__all__ = ["LayerStore"]


class LayerStore:
    """The layers of all graph drivers. Everything here is safe to call from many threads."""

    def __init__(
        self, db: GraphDB, content: ContentStore, shelf: Shelf[GraphDriver], mounts: Path
    ) -> None: ...

    def driver(self, name: str) -> GraphDriver:
        """Return the driver of a name. Raises `NotFound` or `DriverUnavailable`."""
        ...

    # An image's layers

    def has(self, driver: str, chain_id: Digest) -> bool:
        """Return whether the driver has the layer of a chain ID, unpacked."""
        ...

    def unpack(
        self,
        driver: str,
        diff_ids: Sequence[Digest],
        index: int,
        blob: Digest,
        lease: Lease,
        progress: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Unpack the blob of the layer `diff_ids[index]` and return the bytes of its regular files.

        Call it for every layer of an image, also for those that the driver `has`: that returns at once. If another
        job unpacks the same layer, wait for it and share what it made. For a driver whose
        `capabilities.independent_layers` is true the layers of one image may come in any order and at the same time,
        for others the lower ones come first, one after the other.

        `progress` is called often, with the bytes of the blob that were read so far; what it raises (`Cancelled`)
        stops the work and removes the layer. The layer is not flushed: `ImageStore.publish` or `ensure` do that
        once for all.

        Raises `CorruptContent` if the blob is no layer archive or does not have the diff ID, `NotFound` if it is not
        in the content store, `StorageFull`.
        """
        ...

    def ensure(
        self, image: Image, driver: str, progress: Callable[[int], None] = lambda _: None
    ) -> str | None:
        """Unpack what the driver does not have of an image, and return its topmost layer's name.

        None stands for an image without layers. `progress` is as in `unpack`, per layer. Raises what `unpack` raises.
        """
        ...

    # A container's own layer

    def prepare(self, container: str, driver: str, parent: str | None) -> str:
        """Make the layer that a container writes to, on top of what `ensure` returned, and return its name.

        It stays until `remove`, or until the next start of the engine if no container of that ID is recorded then.
        """
        ...

    def mount(self, driver: str, layer: str) -> Path:
        """Make a layer visible for one more user and return its root directory. Raises `NotFound`.

        After a restart of the engine call it once for every container that still runs.
        """
        ...

    def unmount(self, driver: str, layer: str) -> None:
        """Undo one `mount`; the driver unmounts when the last user has gone."""

    @contextmanager
    def mounted(self, driver: str, layer: str) -> Iterator[Path]:
        """Mount a layer for the length of a `with` block."""
        ...

    def remove(self, driver: str, layer: str) -> None:
        """Remove a container's layer. Harmless if there is none. Raises `Conflict` while it is mounted."""

    def usage(self, driver: str, layer: str) -> Usage:
        """Return what a layer by itself occupies. Raises `NotFound`."""
        ...

    def changes(self, driver: str, layer: str) -> list[Change]:
        """Return what a layer changed on top of its parent. Raises `NotFound`."""
        ...

    def recover(self) -> None:
        """Called at the engine's start: remove the layers that are not ready or belong to nothing."""
