"""The content store: blobs by digest, and the downloads that will become blobs.

The life of a blob: `ingest` opens a partial file under the digest that is expected; what arrives is written
to it and hashed; `commit` verifies size and digest and renames it into place. A partial file outlives a
download that was interrupted in whatever way, so the next `ingest` goes on where it stopped. A blob never
changes; it goes by `remove`, when nothing in the database refers to it any more. What has no digest before it is all
there is a `draft` until then.

What a blob is kept for is said in the database (`transom.graph.lease`), before the blob is there.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from transom.errors import CorruptContent, InvalidParameter, NotFound
from transom.graph.digest import Digest
from transom.graph.draft import Draft
from transom.graph.locks import Locks
from transom.graph.space import storage_full

__all__ = ["ContentStore", "Descriptor", "Ingest"]

#: How much is read at once where content is hashed, in bytes.
_CHUNK: Final = 1 << 20
#: How long a partial file that nobody goes on with is kept, in seconds: a week.
_PARTIAL_LIFE: Final = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of a blob (OCI image specification, descriptor.md); `size` is in bytes."""

    media_type: str
    digest: Digest
    size: int


class Ingest:
    """A blob that is being written; `ContentStore.ingest` makes it. One thread at a time uses it.

    `present` says that the blob is there already, whole: there is nothing to write and nothing to commit.
    `offset` is the number of bytes that are there; what is written next goes behind them.
    """

    def __init__(self, digest: Digest, size: int | None, partial: Path, blob: Path) -> None:
        self._digest = digest
        self._size = size
        self._partial = partial
        self._blob = blob
        self._file: io.FileIO | None = None
        self._hash = hashlib.new(digest.algorithm)
        self.offset = 0
        try:
            self.offset, self.present = blob.stat().st_size, True
        except FileNotFoundError:
            self.present = False
            self._file = io.FileIO(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
            self._resume(self._file)

    def _resume(self, file: io.FileIO) -> None:
        """Hash what an interrupted try has left."""
        while chunk := file.read(_CHUNK):
            self._hash.update(chunk)
            self.offset += len(chunk)
        if self._size is not None and self.offset > self._size:
            self.reset()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes. Raises `StorageFull`, and `CorruptContent`, starting over, if it gets too long."""
        file = self._writable()
        if self._size is not None and self.offset + len(data) > self._size:
            self.reset()
            raise CorruptContent(f"cannot store {self._digest}: its content is longer than {self._size} bytes")
        view = memoryview(data)
        with storage_full(f"store the blob {self._digest}"):
            while view:
                written = file.write(view)
                self._hash.update(view[:written])
                self.offset += written
                view = view[written:]

    def reset(self) -> None:
        """Throw away what is there and start over at offset 0."""
        file = self._writable()
        file.seek(0)
        file.truncate()
        self._hash = hashlib.new(self._digest.algorithm)
        self.offset = 0

    def commit(self) -> None:
        """Verify size and digest, flush, and publish the blob under its digest.

        Raises `CorruptContent`, starting over, if either is wrong. Committing what is `present` is harmless.
        """
        if self.present:
            return
        file = self._writable()
        offset, found = self.offset, f"{self._digest.algorithm}:{self._hash.hexdigest()}"
        if self._size is not None and offset != self._size:
            self.reset()
            raise CorruptContent(f"cannot store {self._digest}: {offset} bytes came instead of {self._size}")
        if found != self._digest:
            self.reset()
            raise CorruptContent(f"cannot store {self._digest}: the digest of what came is {found}")
        with storage_full(f"store the blob {self._digest}"):
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
            self._partial.rename(self._blob)
            _flush_directory(self._blob.parent)
        self.present = True

    def close(self) -> None:
        """Close the file; what is in it stays, unless it is nothing."""
        if self._file is not None:
            self._file.close()
            if not self.present and not self.offset:
                self._partial.unlink(missing_ok=True)

    def _writable(self) -> io.FileIO:
        if self._file is None or self.present:
            raise RuntimeError(f"the blob {self._digest} is there already")
        return self._file


class ContentStore:
    """Blobs below `root`: `blobs/<algorithm>/<hex>`, and `ingest/<algorithm>-<hex>` for the partial ones."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs"
        self._partials = root / "ingest"
        self._locks = Locks()
        for directory in (self._blobs / "sha256", self._blobs / "sha512", self._partials):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, digest: Digest) -> Path:
        """Return where the blob is, or would be."""
        return self._blobs / digest.algorithm / digest.hex

    def has(self, digest: Digest) -> bool:
        """Return whether the blob is there, whole."""
        return self.path(digest).exists()

    def size(self, digest: Digest) -> int:
        """Return the blob's size in bytes. Raises `NotFound`."""
        with _missing(digest):
            return self.path(digest).stat().st_size

    def open(self, digest: Digest) -> io.FileIO:
        """Open the blob for reading, unbuffered. Raises `NotFound`."""
        with _missing(digest):
            return io.FileIO(self.path(digest), "r")

    def read(self, digest: Digest, limit: int) -> bytes:
        """Return a small blob, verified. Raises `NotFound`, `CorruptContent` for a wrong or longer one."""
        with self.open(digest) as file:
            content = file.read(limit + 1)
            while len(content) <= limit and (more := file.read(limit + 1 - len(content))):
                content += more
        if len(content) > limit:
            raise CorruptContent(f"cannot read the blob {digest}: it is longer than {limit} bytes")
        if hashlib.new(digest.algorithm, content).hexdigest() != digest.hex:
            raise CorruptContent(
                f"cannot read the blob {digest}: it is damaged on the disk; remove its image and pull again"
            )
        return content

    def put(self, content: bytes) -> Digest:
        """Store a small blob and return its digest. Raises `StorageFull`."""
        digest = Digest.of(content)
        with self.ingest(digest, len(content)) as ingest:
            if not ingest.present:
                ingest.reset()
                ingest.write(content)
                ingest.commit()
        return digest

    @contextmanager
    def ingest(
        self, digest: Digest, size: int | None = None, waiting: Callable[[], None] = lambda: None
    ) -> Iterator[Ingest]:
        """Write the blob of a digest, and of a size in bytes if that is known, in a `with` block.

        Only one thread at a time writes one blob: another one waits here, and then usually finds it
        `present`. While it waits `waiting` is called about ten times a second, and what that raises ends the
        waiting. Leaving the block without `commit` keeps the partial file, for the next try to go on at its
        `offset`.
        """
        with self._locks.hold(digest, waiting):
            with storage_full(f"store the blob {digest}"):
                ingest = Ingest(digest, size, self._partial(digest), self.path(digest))
            try:
                yield ingest
            finally:
                ingest.close()

    @contextmanager
    def draft(self) -> Iterator[Draft]:
        """Write a blob whose digest is not known yet, in a `with` block. Without `commit` nothing of it stays."""
        draft = Draft(self._partials, self._publish)
        try:
            yield draft
        finally:
            draft.discard()

    def _publish(self, path: Path, digest: Digest) -> None:
        """Make a blob of a file, which goes."""
        with self._locks.hold(digest):
            if self.has(digest):
                path.unlink()
                return
            with open(path, "rb") as file:
                os.fchmod(file.fileno(), 0o444)
                os.fsync(file.fileno())
            path.rename(self.path(digest))
            _flush_directory(self.path(digest).parent)

    def remove(self, digest: Digest) -> None:
        """Delete the blob. Harmless if it is not there."""
        self.path(digest).unlink(missing_ok=True)

    def drop_damaged(self, digest: Digest, check: Callable[[], None] = lambda: None) -> bool:
        """Delete the blob if it is not what its digest says any more, and return whether it was deleted.

        It was right when it got its name, so something else has changed it on the disk. `check` is called often, and
        what it raises ends the work. Harmless if the blob is not there.
        """
        with self._locks.hold(digest, check):
            try:
                file = io.FileIO(self.path(digest), "r")
            except FileNotFoundError:
                return False
            found = hashlib.new(digest.algorithm)
            with file:
                while chunk := file.read(_CHUNK):
                    found.update(chunk)
                    check()
            if found.hexdigest() == digest.hex:
                return False
            self.remove(digest)
            return True

    def discard(self, digest: Digest) -> None:
        """Delete what has arrived of a blob that is not whole, unless it is being written. Harmless without any."""
        with self._locks.hold(digest):
            self._partial(digest).unlink(missing_ok=True)

    def list(self) -> Iterator[Digest]:
        """Yield the digests of all blobs."""
        for directory in self._blobs.iterdir():
            for name in os.listdir(directory):  # noqa: PTH208 thousands of names, no need of paths
                yield Digest(f"{directory.name}:{name}")

    def recover(self) -> None:
        """Called at the engine's start: delete what is no blob, drafts, and partial files older than a week."""
        for directory in self._blobs.iterdir():
            for path in directory.iterdir():
                if not _is_digest(f"{directory.name}:{path.name}"):
                    path.unlink()
        oldest = time.time() - _PARTIAL_LIFE
        for path in self._partials.iterdir():
            if not _is_digest(path.name.replace("-", ":", 1)) or path.stat().st_mtime < oldest:
                path.unlink()

    def _partial(self, digest: Digest) -> Path:
        return self._partials / f"{digest.algorithm}-{digest.hex}"


def _is_digest(text: str) -> bool:
    with suppress(InvalidParameter):
        return bool(Digest.parse(text))
    return False


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _missing(digest: Digest) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"the blob {digest} is not in the content store: pull what it belongs to again") from None
