"""Archives are compressed or not: read them all the same. Layers are with gzip or zstd (OCI image specification,
layer.md), what clients send also with bzip2 or xz.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import zstandard
from isal import igzip, isal_zlib

from transom.errors import CorruptContent

__all__ = ["GzipWriter", "decompress"]

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_BZIP2: Final = b"BZh"
_XZ: Final = b"\xfd7zXZ\0"
_LONGEST_START: Final = len(_XZ)
#: How much memory an xz stream may ask for, in bytes; `xz -9` takes 65 MiB.
_XZ_MEMORY: Final = 128 << 20
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
    """Return what a stream holds, uncompressed; gzip, zstd, bzip2 and xz are known by their first bytes.

    Memory is bounded whatever the stream says. Reading raises `CorruptContent` for a damaged stream. A zstd
    stream that was cut off reads as a shorter one: whoever expects a digest verifies it
    (`transom.graph.verify`).
    """
    start = b""
    while len(start) < _LONGEST_START and (more := stream.read(_LONGEST_START - len(start))):
        start += more
    buffered: io.BufferedReader = io.BufferedReader(_Whole(start, stream), _CHUNK)
    if start.startswith(_GZIP):
        unzipped = igzip.IGzipFile(fileobj=buffered, mode="rb")  # type: ignore[no-untyped-call]
        return io.BufferedReader(_Decompressed(unzipped), _CHUNK)
    if start.startswith(_ZSTD):
        reader = zstandard.ZstdDecompressor().stream_reader(buffered, _CHUNK, read_across_frames=True)
        return io.BufferedReader(_Decompressed(reader), _CHUNK)
    if start.startswith(_BZIP2):
        return io.BufferedReader(_Streams(buffered, "bzip2", bz2.BZ2Decompressor), _CHUNK)
    if start.startswith(_XZ):
        return io.BufferedReader(_Streams(buffered, "xz", _begin_xz), _CHUNK)
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


class _Decompressor(Protocol):
    """What the standard library's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Streams(io.RawIOBase):
    """One stream of a format, or several in a row, uncompressed."""

    def __init__(self, source: io.BufferedReader, kind: str, begin: Callable[[], _Decompressor]) -> None:
        self._source = source
        self._kind = kind
        self._begin = begin
        self._decompressor = begin()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while True:
            waiting = b""
            if self._decompressor.eof:
                # What follows a stream is zeros (xz file format, 2.2, "Stream Padding"), or another stream.
                waiting = self._decompressor.unused_data.lstrip(b"\0")
                while not waiting:
                    following = self._source.read1(_CHUNK)
                    if not following:
                        return 0
                    waiting = following.lstrip(b"\0")
                self._decompressor = self._begin()
            elif self._decompressor.needs_input:
                waiting = self._source.read1(_CHUNK)
                if not waiting:
                    raise self._damaged("it ends too early")
            try:
                data = self._decompressor.decompress(waiting, len(buffer))
            except (OSError, lzma.LZMAError) as error:
                raise self._damaged(error) from error
            if data:
                buffer[: len(data)] = data
                return len(data)

    def _damaged(self, reason: object) -> CorruptContent:
        return CorruptContent(f"cannot decompress the archive: its {self._kind} stream is damaged ({reason})")


def _begin_xz() -> _Decompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


@contextmanager
def _corruption() -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, isal_zlib.error) as error:  # type: ignore[misc]
        raise CorruptContent(f"cannot decompress the layer: its gzip stream is damaged ({error})") from error
    except zstandard.ZstdError as error:
        raise CorruptContent(f"cannot decompress the layer: its zstd stream is damaged ({error})") from error
