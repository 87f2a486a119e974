"""Where the layers of a build are made: a writable layer, a change in it, the layer of an image.

Whatever is unfinished is a writable layer of no container, which the engine's next start removes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from transom.containers.names import make_id
from transom.graph.archive import Entry, read_archive
from transom.graph.archive_writer import END, encode_entry, padding
from transom.graph.digest import Digest, chain_ids
from transom.graph.lease import Lease
from transom.graph.making import NewLayer, pack
from transom.graph.model import Image
from transom.graph.streams import stream_of

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["Stack", "Workshop"]

_SECOND = 10**9


@dataclass(frozen=True)
class Stack:
    """The layers that a file system is made of, lowest first, and the blob and size of each.

    On top of them may be `raw` ones: writable layers that are not packed yet, by their names.
    """

    diff_ids: tuple[Digest, ...] = ()
    blobs: tuple[Digest, ...] = ()
    sizes: tuple[int, ...] = ()
    raw: tuple[str, ...] = ()

    @classmethod
    def of(cls, image: Image) -> Stack:
        """Return the layers of an image."""
        return cls(image.diff_ids, image.blobs, image.sizes)

    @property
    def chain_id(self) -> str:
        """What names all of them together, empty for none. There is no such thing for raw ones."""
        assert not self.raw
        return chain_ids(self.diff_ids)[-1] if self.diff_ids else ""

    @property
    def name(self) -> str:
        """A short name of the topmost one, for people, empty for none."""
        return self.raw[-1][:12] if self.raw else self.chain_id[7:19]

    def under(self, layer: str | None) -> Stack:
        """Return them with a raw layer on top, if there is one."""
        return self if layer is None else replace(self, raw=(*self.raw, layer))

    def plus(self, layer: NewLayer) -> Stack:
        """Return them with one more on top, unless it is empty."""
        if layer.empty:
            return self
        return Stack(
            (*self.diff_ids, layer.diff_id), (*self.blobs, layer.blob.digest), (*self.sizes, layer.size)
        )  # fmt: skip


class Workshop:
    """Makes the layers of one build, for one graph driver. What it makes is kept by a lease.

    With an `epoch`, in seconds, nothing in a layer is younger than that. `check` is called often, and what it raises
    ends the work.
    """

    def __init__(
        self, engine: Engine, driver: str, lease: Lease, check: Callable[[], None], epoch: int | None = None
    ) -> None:
        self._engine = engine
        self._lease = lease
        self._check = check
        self._epoch = epoch
        self.driver = driver

    @property
    def lease(self) -> Lease:
        """What keeps what is made."""
        return self._lease

    @property
    def check(self) -> Callable[[], None]:
        """What raises where the build is not to go on."""
        return self._check

    def with_epoch(self, epoch: int | None) -> Workshop:
        """Return the same with an epoch."""
        return Workshop(self._engine, self.driver, self._lease, self._check, epoch)

    def with_check(self, check: Callable[[], None]) -> Workshop:
        """Return the same with something else that ends the work."""
        return Workshop(self._engine, self.driver, self._lease, check, self._epoch)

    def keep_image(self, image: Image) -> None:
        """Let the lease keep an image, also when it is removed."""
        self._engine.images.keep(image, self._lease)

    def top(self, stack: Stack) -> str | None:
        """Return the name of the topmost layer, after unpacking what is not there."""
        if stack.raw:
            return stack.raw[-1]
        return self._engine.layers.unpack_all(
            self.driver, stack.diff_ids, stack.blobs, self._lease, lambda _: self._check()
        )

    @contextmanager
    def writable(self, stack: Stack) -> Iterator[str]:
        """Give a writable layer on top of others, which goes with the `with` block unless `finish` has used it."""
        with self.writable_on(self.top(stack)) as name:
            yield name

    @contextmanager
    def writable_on(self, parent: str | None) -> Iterator[str]:
        """Give a writable layer on top of one that is named, as `writable` does."""
        name = make_id()
        self._engine.layers.prepare(name, self.driver, parent)
        try:
            yield name
        finally:
            self._engine.layers.remove(self.driver, name)

    @contextmanager
    def mounted(self, layer: str) -> Iterator[Path]:
        """Mount a layer for the length of a `with` block."""
        with self._engine.layers.mounted(self.driver, layer) as path:
            yield path

    @contextmanager
    def shown(self, stack: Stack) -> Iterator[Path]:
        """Mount the topmost of some layers to be read; without any, a writable one that is empty."""
        top = self.top(stack)
        if top is not None:
            with self.mounted(top) as path:
                yield path
            return
        with self.writable(stack) as layer, self.mounted(layer) as path:
            yield path

    @contextmanager
    def writing(self, stack: Stack) -> Iterator[str]:
        """Give a writable layer on top of others, which stays after the `with` block if nothing was raised in it: until
        `finish` or `discard`."""
        layer = make_id()
        self._engine.layers.prepare(layer, self.driver, self.top(stack))
        try:
            yield layer
        except BaseException:
            self.discard(layer)
            raise

    def discard(self, layer: str) -> None:
        """Remove a writable layer. Harmless if there is none."""
        self._engine.layers.remove(self.driver, layer)

    def pack(self, layer: str) -> NewLayer:
        """Store what a writable layer has changed as a blob."""
        archive = self._pieces(layer)
        if self._epoch is not None:
            archive = _clamp(archive, self._epoch)
        return pack(archive, self._engine.content, self._lease)

    def finish(self, layer: str, stack: Stack, on: Stack | None = None) -> NewLayer:
        """Make of what a writable layer on top of `stack` has changed a layer, which stands `on` the same or others.

        The writable layer is not mounted, and gone afterwards.
        """
        try:
            new = self.pack(layer)
            if new.empty:
                return new
            on = stack if on is None else on
            if self._epoch is None and on == stack:
                self._engine.layers.seal(self.driver, ((layer, new),), on.diff_ids, self._lease)
            else:
                self.unpack(on, new)
            return new
        finally:
            self.discard(layer)

    def seal(self, layers: Sequence[tuple[str, NewLayer]], stack: Stack) -> None:
        """Let packed layers that stand on each other be the ones on top of `stack`."""
        self._engine.layers.seal(self.driver, layers, stack.diff_ids, self._lease)

    def unpack(self, stack: Stack, layer: NewLayer) -> None:
        """Unpack a layer, whose blob the lease keeps, on top of others."""
        self.top(stack)
        self._engine.layers.unpack(
            self.driver,
            (*stack.diff_ids, layer.diff_id),
            len(stack.diff_ids),
            layer.blob.digest,
            self._lease,
            lambda _: self._check(),
        )

    def keep(self, layer: NewLayer) -> bool:
        """Let the lease keep the blob of a layer that was made before; return whether it is there."""
        return layer.empty or (
            self._lease.keep_if_known(layer.blob.digest) and self._engine.content.has(layer.blob.digest)
        )

    def _pieces(self, layer: str) -> Iterator[bytes]:
        for piece in self._engine.layers.diff(self.driver, layer):
            self._check()
            yield piece


def _clamp(archive: Iterator[bytes], epoch: int) -> Iterator[bytes]:
    """Yield an archive in which no time is later than one, in seconds since the epoch, and times have no fraction."""
    latest = epoch * _SECOND
    for entry in read_archive(stream_of(archive)):
        mtime = min(entry.mtime, latest)
        yield from _encode(replace(entry, mtime=mtime - mtime % _SECOND))
    yield END


def _encode(entry: Entry) -> Iterator[bytes]:
    content = entry.content
    if content is None or not entry.size:
        yield encode_entry(entry)
        return
    whole = content.segments == ((0, entry.size),)
    yield encode_entry(entry, None if whole else content.segments)
    stored = 0
    for _, piece in content.pieces():
        stored += len(piece)
        yield bytes(piece)
    yield padding(stored)
