"""Layer archives are compressed or not: read them all the same (OCI image specification, layer.md, media types)."""

from __future__ import annotations

from typing import IO

__all__ = ["decompress"]


def decompress(stream: IO[bytes]) -> IO[bytes]:
    """Return what a stream holds, uncompressed; gzip and zstd are known by their first bytes, all else is plain.

    Reading raises `CorruptContent` for a damaged stream.
    """
    ...
