"""The content store: blobs by digest, and the downloads that will become blobs.

The life of a blob: `ingest` opens a partial file under the digest that is expected; what arrives is written to it
and hashed; `commit` verifies size and digest and renames it into place. A partial file outlives a download that
was interrupted in whatever way, so the next `ingest` goes on where it stopped. A blob never changes; it goes by
`remove`, when nothing in the database refers to it any more.

What a blob is kept for is said in the database (`transom.graph.lease`), before the blob is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from transom.graph.digest import Digest

__all__ = ["ContentStore", "Descriptor", "Ingest"]


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of a blob (OCI image specification, descriptor.md); `size` is in bytes."""

    media_type: str
    digest: Digest
    size: int


class Ingest:
    """A blob that is being written. `ContentStore.ingest` makes it."""

    @property
    def present(self) -> bool:
        """Whether the blob is there already, whole: there is nothing to write and nothing to commit."""
        ...

    @property
    def offset(self) -> int:
        """The number of bytes that are there; what is written next goes behind them."""
        ...

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes. Raises `CorruptContent`, and starts over, if they are more than expected; `StorageFull`."""

    def reset(self) -> None:
        """Throw away what is there and start over at offset 0."""

    def commit(self) -> None:
        """Verify size and digest, flush, and publish the blob under its digest.

        Raises `CorruptContent` and deletes the partial file if either is wrong. Committing what is `present` is
        harmless.
        """


class ContentStore:
    """Blobs below `root`: `blobs/<algorithm>/<hex>`, and `ingest/<algorithm>-<hex>` for the partial ones."""

    def __init__(self, root: Path) -> None: ...

    def path(self, digest: Digest) -> Path:
        """Return where the blob is, or would be."""
        ...

    def has(self, digest: Digest) -> bool:
        """Return whether the blob is there, whole."""
        ...

    def size(self, digest: Digest) -> int:
        """Return the blob's size in bytes. Raises `NotFound`."""
        ...

    def open(self, digest: Digest) -> BinaryIO:
        """Open the blob for reading, unbuffered. Raises `NotFound`."""
        ...

    def read(self, digest: Digest, limit: int) -> bytes:
        """Return a small blob, verified. Raises `NotFound`, and `CorruptContent` for a wrong or longer one."""
        ...

    def put(self, content: bytes) -> Digest:
        """Store a small blob and return its digest. Raises `StorageFull`."""
        ...

    @contextmanager
    def ingest(
        self, digest: Digest, size: int | None = None, waiting: Callable[[], None] = lambda: None
    ) -> Iterator[Ingest]:
        """Write the blob of a digest, and of a size in bytes if that is known, in a `with` block.

        Only one thread at a time writes one blob: another one waits here, and then usually finds it `present`.
        While it waits `waiting` is called about ten times a second, and what that raises ends the waiting. Leaving
        the block without `commit` keeps the partial file, for the next try to go on at its `offset`.
        """
        ...

    def remove(self, digest: Digest) -> None:
        """Delete the blob. Harmless if it is not there."""

    def list(self) -> Iterator[Digest]:
        """Yield the digests of all blobs."""
        ...

    def recover(self) -> None:
        """Called at the engine's start: delete what is no blob, and partial files that a week has not touched."""
