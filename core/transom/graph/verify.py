"""Streams that are looked at while they are read: how much there was, and what its digest is."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Final

from transom.errors import CorruptContent
from transom.graph.digest import Digest

__all__ = ["CountingReader", "VerifyingReader"]

_CHUNK: Final = 1 << 18


class CountingReader(io.RawIOBase):
    """A stream that says after each read how many bytes were read so far."""

    def __init__(self, source: io.RawIOBase, progress: Callable[[int], None]) -> None:
        self._source = source
        self._progress = progress
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._source.readinto(buffer) or 0
        self._count += count
        self._progress(self._count)
        return count


class VerifyingReader(io.RawIOBase):
    """A stream whose content must have a digest, as `verify` finds out at the end."""

    def __init__(self, source: io.BufferedReader, expected: Digest) -> None:
        self._source = source
        self._expected = expected
        self._hash = hashlib.new(expected.algorithm)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._source.readinto(buffer)
        self._hash.update(memoryview(buffer)[:count])
        return count

    def verify(self) -> None:
        """Read what nobody has read yet, and raise `CorruptContent` if the digest of it all is another."""
        while self.read(_CHUNK):
            pass
        found = f"{self._expected.algorithm}:{self._hash.hexdigest()}"
        if found != self._expected:
            raise CorruptContent(f"the layer's content has the digest {found}, its image says {self._expected}")
