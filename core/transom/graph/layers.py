"""The layer store: which layers each graph driver has, and who uses them.

A layer of an image is named by the hexadecimal digits of its chain ID, a container's own layer by the
container's ID. The same layer can be there for several drivers; each is a *snapshot* in the database. A
snapshot is recorded before the driver makes it, and is *ready* when it is complete and flushed to the disk;
what is not ready at the engine's start is removed.
"""

from __future__ import annotations

import io
import logging
import os
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from transom.catalog import Shelf
from transom.drivers.blame import expect
from transom.drivers.graph import Change, GraphDriver, Usage
from transom.errors import Conflict, DriverUnavailable, NotFound
from transom.graph.archive import read_archive
from transom.graph.archive_writer import END
from transom.graph.compression import decompress
from transom.graph.content import ContentStore
from transom.graph.db import GraphDB, Node
from transom.graph.digest import Digest, chain_ids
from transom.graph.lease import Lease
from transom.graph.locks import Locks
from transom.graph.making import NewLayer
from transom.graph.model import Image
from transom.graph.snapshots import Snapshot, Snapshots
from transom.graph.space import storage_full
from transom.graph.verify import CountingReader, VerifyingReader
from transom.runtime.syscalls.files import syncfs

__all__ = ["LayerStore"]

log = logging.getLogger(__name__)

#: How much of an archive is buffered for the driver, in bytes.
_CHUNK: Final = 1 << 20


@dataclass(slots=True)
class _Mount:
    path: Path
    users: list[str]


class LayerStore:
    """The layers of all graph drivers. Everything here is safe to call from many threads."""

    def __init__(self, db: GraphDB, content: ContentStore, shelf: Shelf[GraphDriver], mounts: Path) -> None:
        self._db = db
        self._content = content
        self._shelf = shelf
        self._mount_root = mounts
        self._guard = threading.Lock()
        self._drivers: dict[str, GraphDriver] = {}
        #: Held, by snapshot name, around all that a driver does with one layer.
        self._locks = Locks()
        #: The sizes of the snapshots that this engine has unpacked, whether they are flushed or not.
        self._unpacked: dict[str, int] = {}
        self._snapshots = Snapshots(db, self._unpacked)
        self._mounts: dict[str, _Mount] = {}
        #: Called with a driver's name and a layer's when what shows its files has died.
        self.on_loss: Callable[[str, str], object] = lambda _driver, _layer: None

    def driver(self, name: str) -> GraphDriver:
        """Return the driver of a name. Raises `NotFound` or `DriverUnavailable`."""
        with self._guard:
            driver = self._drivers.get(name)
            if driver is None:
                kind = self._shelf.get(name)
                mounts = self._mount_root / name
                mounts.mkdir(mode=0o711, parents=True, exist_ok=True)
                driver = self._drivers[name] = kind(self._shelf.root(name), mounts)
                driver.on_loss = lambda layer: self.on_loss(name, layer)
        return driver

    def close(self) -> None:
        """Let all drivers go. What is mounted stays so."""
        with self._guard:
            for driver in self._drivers.values():
                try:
                    driver.close()
                except Exception:
                    # The others are to be let go too.
                    log.exception("the graph driver %s could not be closed", driver.name)
            self._drivers.clear()

    # An image's layers

    def has(self, driver: str, chain_id: Digest) -> bool:
        """Return whether the driver has the layer of a chain ID, unpacked."""
        snapshot = self._snapshots.find(driver, chain_id.hex)
        return snapshot is not None and (snapshot.ready or snapshot.name in self._unpacked)

    def unpack(
        self,
        driver: str,
        diff_ids: Sequence[Digest],
        index: int,
        blob: Digest,
        lease: Lease,
        progress: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Unpack the blob of the layer `diff_ids[index]` and return the bytes of its regular files and links.

        Call it for every layer of an image, also for those that the driver `has`: that returns at once. The
        lease must keep the blob. If another job unpacks the same layer, wait for it and share what it made.
        For a driver whose `capabilities.independent_layers` is true the layers of one image may come in any
        order and at the same time, for others the lower ones come first, one after the other.

        `progress` is called often, with the bytes of the blob that were read so far; what it raises
        (`Cancelled`) stops the work and removes the layer. The layer is not flushed: `ImageStore.publish` or
        `ensure` do that once for all.

        Raises `CorruptContent` if the blob is no layer archive or does not have the diff ID, `NotFound` if it
        is not in the content store, `StorageFull`.
        """
        return self._unpack(driver, tuple(diff_ids), index, blob, lease.keep, progress)

    def ensure(self, image: Image, driver: str, progress: Callable[[int], None] = lambda _: None) -> str | None:
        """Unpack what the driver does not have of an image, and return its topmost layer's name.

        None stands for an image without layers. `progress` is as in `unpack`, per layer. Raises what `unpack`
        raises, and `NotFound` if the image was removed meanwhile.
        """
        if not image.diff_ids:
            return None
        top = image.chain_ids[-1].hex
        snapshot = self._snapshots.find(driver, top)
        if snapshot is None or not snapshot.ready:
            for index, blob in enumerate(image.blobs):
                self._unpack(driver, image.diff_ids, index, blob, lambda _: None, progress)
            self.flush(driver)
            with self._db.transaction(durable=True):
                self._db.need("image", image.id)
                self.settle(driver, image)
        return top

    def keep(self, driver: str, layer: str, holder: Node) -> None:
        """Let a layer stay for as long as what a node of the database stands for does. Raises `NotFound`."""
        self._db.link(holder, "uses", self._db.need("snapshot", _name(driver, layer)))

    def unpack_all(
        self,
        driver: str,
        diff_ids: Sequence[Digest],
        blobs: Sequence[Digest],
        lease: Lease,
        progress: Callable[[int], None] = lambda _: None,
    ) -> str | None:
        """Unpack what the driver does not have of a stack of layers that the lease keeps, and return its topmost one.

        None stands for no layers. It is as `ensure` for what is no image yet, and nothing is flushed.
        """
        for index, blob in enumerate(blobs):
            self.unpack(driver, diff_ids, index, blob, lease, progress)
        return chain_ids(tuple(diff_ids))[-1].hex if blobs else None

    def flush(self, driver: str) -> None:
        """Bring all that the driver has written to the disk."""
        descriptor = os.open(self.driver(driver).root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with storage_full(f"flush the layers of the graph driver {driver}"):
                syncfs(descriptor)
        finally:
            os.close(descriptor)

    def settle(self, driver: str, image: Image) -> tuple[Node, ...]:
        """Record that the driver has all layers of an image, and return the layers' nodes, lowest first.

        It belongs after `flush`, and into the transaction that makes the image refer to them. Raises
        `NotFound` if one of them is not there.
        """
        chain = image.chain_ids
        nodes = []
        with self._db.transaction():
            for index, blob in enumerate(image.blobs):
                layer, snapshot = self._snapshots.record(driver, chain, index, blob)
                if not snapshot.ready:
                    size = self._unpacked.get(snapshot.name)
                    if size is None:
                        raise NotFound(
                            f"the layer {chain[index]} is not unpacked for the graph driver {driver}:"
                            " it was removed meanwhile, try again"
                        )
                    self._snapshots.put(replace(snapshot, ready=True, size=size))
                nodes.append(layer)
        return tuple(nodes)

    def _unpack(
        self,
        driver: str,
        diff_ids: tuple[Digest, ...],
        index: int,
        blob: Digest,
        keep: Callable[[Node], None],
        progress: Callable[[int], None],
    ) -> int:
        graph = self.driver(driver)
        chain = chain_ids(diff_ids[: index + 1])
        with self._locks.hold(_name(driver, chain[index].hex), lambda: progress(0)):
            with self._db.transaction():
                layer, snapshot = self._snapshots.record(driver, chain, index, blob)
                keep(layer)
            if snapshot.ready:
                return snapshot.size
            if snapshot.name not in self._unpacked:
                with storage_full(f"unpack the layer {diff_ids[index]}"):
                    # An earlier removal may have failed halfway.
                    graph.remove(snapshot.layer)
                    graph.create(snapshot.layer, snapshot.parent)
                    try:
                        size = self._apply(graph, snapshot.layer, diff_ids[index], blob, progress)
                    except BaseException:
                        graph.remove(snapshot.layer)
                        raise
                self._unpacked[snapshot.name] = size
            return self._unpacked[snapshot.name]

    def _apply(
        self, graph: GraphDriver, layer: str, diff_id: Digest, blob: Digest, progress: Callable[[int], None]
    ) -> int:
        with self._content.open(blob) as file:
            verifying = VerifyingReader(decompress(CountingReader(file, progress)), diff_id)
            archive: io.BufferedReader = io.BufferedReader(verifying, _CHUNK)
            size = expect(graph, "apply", int, graph.apply(layer, archive))
            verifying.verify()
        return size

    # A container's own layer

    def prepare(self, container: str, driver: str, parent: str | None, size: int = 0) -> str:
        """Make the layer that a container writes to, on top of what `ensure` returned, and return its name.

        It holds at most `size` bytes with all that is below it, if that is not 0; the driver must be able to limit it.

        It stays until `remove`, or until the next start of the engine if no container of that ID is recorded
        then. Raises `NotFound` if the parent was removed meanwhile, `Conflict` if the container has a layer
        already.
        """
        graph = self.driver(driver)
        snapshot = Snapshot(driver, container, parent, writable=True)
        with self._locks.hold(snapshot.name):
            self._snapshots.add(snapshot)
            try:
                with storage_full(f"make the layer of the container {container}"):
                    graph.create(container, parent)
                    if size:
                        graph.limit(container, size)
                self._snapshots.put(replace(snapshot, ready=True))
            except BaseException:
                self._delete(graph, snapshot)
                raise
        return container

    def seal(self, driver: str, layers: Sequence[tuple[str, NewLayer]], below: Sequence[Digest], lease: Lease) -> None:
        """Let layers that `prepare` made, and nobody writes to any more, be those of an image on top of others.

        Each of `layers`, lowest first, stands on the one before, and the first on the layers `below`, by their diff
        IDs. With each comes what `pack` made of its `diff`, so that this is what `unpack` would do, without unpacking;
        like that it is not flushed. One that is empty is none. The lease must keep the blobs. Raises `Conflict` while
        one of them is mounted, and `NotFound`.
        """
        graph = self.driver(driver)
        diff_ids = tuple(below)
        for layer, new in layers:
            if not new.empty:
                diff_ids = (*diff_ids, new.diff_id)
                self._seal(graph, driver, layer, diff_ids, new, lease)
        for layer, _ in reversed(layers):
            self.remove(driver, layer)

    def _seal(
        self, graph: GraphDriver, driver: str, layer: str, diff_ids: Sequence[Digest], new: NewLayer, lease: Lease
    ) -> None:
        chain = chain_ids(tuple(diff_ids))
        with self._locks.hold(_name(driver, chain[-1].hex)), self._locks.hold(_name(driver, layer)):
            if _name(driver, layer) in self._mounts:
                raise Conflict(f"cannot seal the layer {layer} of the graph driver {driver}: it is mounted")
            own = self._snapshots.get(driver, layer)
            with self._db.transaction():
                node, snapshot = self._snapshots.record(driver, chain, len(chain) - 1, new.blob.digest)
                lease.keep(node)
            if not snapshot.ready and snapshot.name not in self._unpacked:
                # An earlier removal may have failed halfway.
                graph.remove(snapshot.layer)
                # From here on it is not what it was: a crash in between leaves nothing that is taken for whole.
                self._snapshots.put(replace(own, ready=False))
                graph.seal(layer, snapshot.layer, snapshot.parent)
                self._unpacked[snapshot.name] = new.size

    def secure(self, driver: str) -> None:
        """Flush all layers of images that this engine has unpacked, also those of no image, so that they stay."""
        names = [name for name in tuple(self._unpacked) if name.startswith(f"{driver}/")]
        found = [self._snapshots.find(driver, name.removeprefix(f"{driver}/")) for name in names]
        if not any(snapshot is not None and not snapshot.ready for snapshot in found):
            return
        self.flush(driver)
        with self._db.transaction(durable=True):
            for name in names:
                snapshot = self._snapshots.find(driver, name.removeprefix(f"{driver}/"))
                size = self._unpacked.get(name)
                if snapshot is not None and size is not None and not snapshot.ready:
                    self._snapshots.put(replace(snapshot, ready=True, size=size))

    def mount(self, driver: str, layer: str, user: str = "") -> Path:
        """Make a layer visible for one more user and return its root; an image's layer is read-only.

        A user that has a name counts once. After a restart of the engine call it once for every container that still
        runs. Raises `NotFound`.
        """
        name = _name(driver, layer)
        with self._locks.hold(name):
            mount = self._mounts.get(name)
            if mount is None:
                snapshot = self._snapshots.get(driver, layer)
                graph = self.driver(driver)
                path = graph.mount(layer, read_only=not snapshot.writable)
                mount = self._mounts[name] = _Mount(expect(graph, "mount", Path, path), [])
            if not user or user not in mount.users:
                mount.users.append(user)
            return mount.path

    def unmount(self, driver: str, layer: str, user: str = "") -> None:
        """Undo one `mount`; the driver unmounts when the last user has gone. Harmless for a name that did not mount."""
        name = _name(driver, layer)
        with self._locks.hold(name):
            mount = self._mounts.get(name)
            if mount is not None:
                if user in mount.users:
                    mount.users.remove(user)
                if mount.users:
                    return
            self.driver(driver).unmount(layer)
            self._mounts.pop(name, None)

    @contextmanager
    def mounted(self, driver: str, layer: str) -> Iterator[Path]:
        """Mount a layer for the length of a `with` block."""
        path = self.mount(driver, layer)
        try:
            yield path
        finally:
            self.unmount(driver, layer)

    def remove(self, driver: str, layer: str) -> None:
        """Remove a container's layer. Harmless if there is none. Raises `Conflict` while it is mounted."""
        name = _name(driver, layer)
        with self._locks.hold(name), self._db.freeing():
            if name in self._mounts:
                raise Conflict(f"cannot remove the layer {layer} of the graph driver {driver}: it is mounted")
            snapshot = self._snapshots.find(driver, layer)
            if snapshot is not None:
                self._snapshots.put(replace(snapshot, ready=False))
                self._delete(self.driver(driver), snapshot)

    def size(self) -> int:
        """Return the bytes of all layers of images, once for each driver that has one unpacked."""
        return sum(snapshot.size for snapshot in self._snapshots.list() if snapshot.ready and not snapshot.writable)

    def usage(self, driver: str, layer: str) -> Usage:
        """Return what a layer by itself occupies. Raises `NotFound`."""
        with self._examined(driver, layer) as graph:
            return expect(graph, "usage", Usage, graph.usage(layer))

    def changes(self, driver: str, layer: str, placeholders: Collection[bytes] = ()) -> list[Change]:
        """Return what a layer changed on top of its parent, but for the placeholders (`GraphDriver.diff`).

        Raises `NotFound`.
        """
        with self._examined(driver, layer) as graph:
            return expect(graph, "changes", list, graph.changes(layer, placeholders))

    def diff(self, driver: str, layer: str, placeholders: Collection[bytes] = ()) -> Iterator[bytes]:
        """Yield, in pieces, the layer archive of what a layer changed on top of its parent, but for the placeholders.

        A layer that changed nothing gives an archive without entries. Raises `NotFound`, and `Conflict` if a file
        changes meanwhile.
        """
        with self._examined(driver, layer) as graph, closing(_pieces(graph, layer, placeholders)) as pieces:
            first = next(pieces, b"")
            second = next(pieces, b"")
            # The root directory alone is in every layer, and changes nothing.
            if second != END or not _is_root(first):
                yield first
            yield second
            yield from pieces

    @contextmanager
    def _examined(self, driver: str, layer: str) -> Iterator[GraphDriver]:
        """Give the driver for a question about a layer, which it may mount and unmount to find the answer."""
        name = _name(driver, layer)
        graph = self.driver(driver)
        with self._locks.hold(name):
            self._snapshots.get(driver, layer)
            try:
                yield graph
            finally:
                if name in self._mounts:
                    graph.mount(layer)

    # What is left over

    def collect(self) -> None:
        """Remove the layers that no image, container or lease refers to.

        What cannot be removed now (its driver does not work here any more, or fails) is kept in the database
        and tried again the next time.
        """
        for snapshot in self._snapshots.garbage():
            try:
                self._discard(self.driver(snapshot.driver), snapshot)
            except Exception as error:  # noqa: BLE001 a driver of anybody's must not keep the garbage of the others
                log.warning("the layer %s cannot be removed yet: %s", snapshot.name, error)

    def _discard(self, graph: GraphDriver, snapshot: Snapshot) -> None:
        """Remove a layer if it is garbage still, now that nobody works on it."""
        with self._locks.hold(snapshot.name):
            if snapshot.name not in self._mounts and self._snapshots.condemn(snapshot):
                self._delete(graph, snapshot)

    def _delete(self, graph: GraphDriver, snapshot: Snapshot) -> None:
        """Let the driver remove a layer, then forget it. The caller holds its lock; it is not ready."""
        self._unpacked.pop(snapshot.name, None)
        graph.remove(snapshot.layer)
        self._snapshots.remove(snapshot)

    def recover(self) -> None:
        """Called at the engine's start: remove the layers that are not ready or belong to nothing.

        A driver that does not work here now keeps its layers for the time when it does again.
        """
        snapshots = self._snapshots.list()
        for name in self._shelf.names():
            if not self._shelf.root(name).is_dir():
                continue
            try:
                graph = self.driver(name)
            except DriverUnavailable:
                continue
            except Exception:
                # What it has is looked at when it works again.
                log.exception("the graph driver %s could not be opened", name)
                continue
            known = []
            for snapshot in snapshots:
                if snapshot.driver == name and snapshot.ready and self._has_owner(snapshot):
                    known.append(snapshot.layer)
                elif snapshot.driver == name:
                    self._snapshots.remove(snapshot)
            try:
                graph.recover(known)
            except Exception:  # a driver of anybody's must not stop the engine
                log.exception("the graph driver %s could not remove what an earlier engine left", name)

    def _has_owner(self, snapshot: Snapshot) -> bool:
        return not snapshot.writable or self._db.get("container", snapshot.layer) is not None


def _pieces(graph: GraphDriver, layer: str, placeholders: Collection[bytes]) -> Generator[bytes, None, None]:
    for piece in expect(graph, "diff", Iterable, graph.diff(layer, placeholders)):
        yield expect(graph, "diff", bytes, piece)


def _is_root(archive: bytes) -> bool:
    """Return whether an archive, without its end, has an entry for the root directory and no other."""
    return [entry.name for entry in read_archive(io.BytesIO(archive + END))] == [b"./"]


def _name(driver: str, layer: str) -> str:
    return f"{driver}/{layer}"
