"""Layer archives are compressed or not: read them all the same (OCI image specification, layer.md)."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import zstandard
from isal import igzip, isal_zlib

from transom.errors import CorruptContent

__all__ = ["GzipWriter", "decompress"]

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
#: How much is read at once, in bytes, so that the work is done without holding the interpreter for long.
_CHUNK: Final = 1 << 18
#: isal's levels go from 0 to 3; beyond the first, each costs more time than it saves space.
_LEVEL: Final = 1
#: The window size of zlib's interface that stands for gzip with its largest window.
_GZIP_FORMAT: Final = 31


class _Whole(io.RawIOBase):
    """A stream of which the beginning was read already."""

    def __init__(self, start: bytes, rest: io.RawIOBase) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._start:
            return self._rest.readinto(buffer) or 0
        count = min(len(buffer), len(self._start))
        buffer[:count], self._start = self._start[:count], self._start[count:]
        return count


class _Source(Protocol):
    def readinto(self, buffer: memoryview, /) -> int: ...


class _Decompressed(io.RawIOBase):
    """What a decompressor yields, with its errors as ours."""

    def __init__(self, source: _Source) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with _corruption():
            return self._source.readinto(buffer)


def decompress(stream: io.RawIOBase) -> io.BufferedReader:
    """Return what a stream holds, uncompressed; gzip and zstd are known by their first bytes.

    Memory is bounded whatever the stream says. Reading raises `CorruptContent` for a damaged stream. A zstd
    stream that was cut off reads as a shorter one: whoever expects a digest verifies it
    (`transom.graph.verify`).
    """
    start = b""
    while len(start) < len(_ZSTD) and (more := stream.read(len(_ZSTD) - len(start))):
        start += more
    buffered: io.BufferedReader = io.BufferedReader(_Whole(start, stream), _CHUNK)
    if start.startswith(_GZIP):
        unzipped = igzip.IGzipFile(fileobj=buffered, mode="rb")  # type: ignore[no-untyped-call]
        return io.BufferedReader(_Decompressed(unzipped), _CHUNK)
    if start.startswith(_ZSTD):
        reader = zstandard.ZstdDecompressor().stream_reader(buffered, _CHUNK, read_across_frames=True)
        return io.BufferedReader(_Decompressed(reader), _CHUNK)
    return buffered


class GzipWriter:
    """Compresses what is written to it, and hands the result on. The same content gives the same bytes."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP_FORMAT)

    def write(self, data: bytes) -> None:
        """Compress some more."""
        if compressed := self._compressor.compress(data):
            self._write(compressed)

    def finish(self) -> None:
        """Hand on what is left."""
        self._write(self._compressor.flush())


@contextmanager
def _corruption() -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, isal_zlib.error) as error:  # type: ignore[misc]
        raise CorruptContent(f"cannot decompress the layer: its gzip stream is damaged ({error})") from error
    except zstandard.ZstdError as error:
        raise CorruptContent(f"cannot decompress the layer: its zstd stream is damaged ({error})") from error
