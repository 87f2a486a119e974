"""Archives that are made piece by piece, as streams."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import IO, cast

__all__ = ["stream_of"]


class _Stream(io.BufferedIOBase):
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            if size is None or size < 0 or len(piece) <= size:
                if piece:
                    return piece
                continue
            self._left = memoryview(piece)
        end = len(self._left) if size is None or size < 0 else size
        taken, self._left = self._left[:end], self._left[end:]
        return bytes(taken)

    def read1(self, size: int = -1) -> bytes:
        return self.read(size)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def stream_of(pieces: Iterable[bytes]) -> IO[bytes]:
    """Return a stream of what an iterable gives; a read returns no more than one piece, and nothing at the end."""
    return cast("IO[bytes]", _Stream(pieces))
