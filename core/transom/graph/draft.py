"""Drafts: blobs whose digest is known only when all of them is there."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from transom.graph.digest import Digest
from transom.graph.space import storage_full

__all__ = ["Draft"]


class Draft:
    """A blob that is being made; `ContentStore.draft` opens it. One thread at a time uses it.

    After `seal` it can be read any number of times, and `commit` makes a blob of it. A draft that is not
    committed goes with the `with` block that it was made in, or at the next start of the engine.
    """

    def __init__(self, directory: Path, publish: Callable[[Path, Digest], None]) -> None:
        self._path = directory / f"draft-{secrets.token_hex(8)}"
        self._publish = publish
        self._hash = hashlib.sha256()
        self.size = 0
        with storage_full("store a blob"):
            self._file: io.FileIO | None = io.FileIO(
                os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w"
            )

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes. Raises `StorageFull`."""
        assert self._file is not None
        view = memoryview(data)
        self._hash.update(view)
        self.size += len(view)
        with storage_full("store a blob"):
            while view:
                view = view[self._file.write(view) :]

    def seal(self) -> None:
        """End the writing. Doing it twice is harmless."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def digest(self) -> Digest:
        """The digest of what was written."""
        return Digest(f"sha256:{self._hash.hexdigest()}")

    def open(self) -> io.FileIO:
        """Open it for reading, unbuffered. It must be sealed."""
        assert self._file is None
        return io.FileIO(self._path, "r")

    def commit(self) -> None:
        """Flush it and make it the blob of its digest, which the database must know by then."""
        self.seal()
        with storage_full(f"store the blob {self.digest}"):
            self._publish(self._path, self.digest)

    def discard(self) -> None:
        """Delete what is there. Harmless after `commit`."""
        self.seal()
        self._path.unlink(missing_ok=True)
