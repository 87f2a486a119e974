"""Blobs of layers in another compression: the same layer, by another digest (OCI image specification, layer.md)."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import zstandard

from transom.errors import InvalidParameter
from transom.graph.compression import GzipWriter, decompress
from transom.graph.content import ContentStore, Descriptor
from transom.graph.lease import Lease
from transom.graph.making import LAYER_TYPE

__all__ = ["Compression", "recompress"]

_CHUNK: Final = 1 << 20
#: The levels that each kind has, by the end of its media type.
_LEVELS: Final = {"gzip": range(10), "zstd": range(23), "uncompressed": range(0)}
#: The window size of zlib's interface that stands for gzip with its largest window.
_GZIP_FORMAT: Final = 31


@dataclass(frozen=True)
class Compression:
    """A way to compress: `gzip`, `zstd` or `uncompressed`, and a level, None for the usual one."""

    kind: str = "gzip"
    level: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in _LEVELS:
            raise InvalidParameter(f"unsupported compression type {self.kind}: it should be gzip, zstd or uncompressed")
        if self.level is not None and self.level not in _LEVELS[self.kind]:
            raise InvalidParameter(f"invalid compression level {self.level} for {self.kind}")

    @property
    def media_type(self) -> str:
        """What a layer is called that is compressed in this way."""
        return LAYER_TYPE if self.kind == "uncompressed" else f"{LAYER_TYPE}+{self.kind}"


class _Writer(Protocol):
    def write(self, data: bytes) -> None: ...
    def finish(self) -> None: ...


def recompress(
    content: ContentStore, blob: Descriptor, compression: Compression, lease: Lease, check: Callable[[], None]
) -> Descriptor:
    """Return the blob of a layer in a compression: itself, if it has it and no level is asked for, or one that is made
    here and kept by the lease. `check` is called often, and what it raises ends the work.

    Raises `CorruptContent`, `NotFound` and `StorageFull`.
    """
    if blob.media_type == compression.media_type and compression.level is None:
        return blob
    with content.open(blob.digest) as file, content.draft() as draft:
        writer = _writer(compression, draft.write)
        archive: io.BufferedReader = decompress(file)
        while data := archive.read(_CHUNK):
            check()
            writer.write(data)
        writer.finish()
        result = Descriptor(compression.media_type, draft.digest, draft.size)
        lease.keep_blob(result)
        draft.commit()
    return result


def _writer(compression: Compression, write: Callable[[bytes], None]) -> _Writer:
    if compression.kind == "uncompressed":
        return _Plain(write)
    if compression.kind == "zstd":
        level = 3 if compression.level is None else compression.level
        return _Compressed(zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj(), write)
    if compression.level is None:
        return GzipWriter(write)
    return _Compressed(zlib.compressobj(compression.level, wbits=_GZIP_FORMAT), write)


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _Compressed:
    def __init__(self, compressor: _Compressor, write: Callable[[bytes], None]) -> None:
        self._compressor = compressor
        self._write = write

    def write(self, data: bytes) -> None:
        if compressed := self._compressor.compress(data):
            self._write(compressed)

    def finish(self) -> None:
        self._write(self._compressor.flush())


class _Plain:
    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write

    def finish(self) -> None:
        """Nothing is left."""
