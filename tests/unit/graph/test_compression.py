"""Layer archives are read whatever they are compressed with."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tracemalloc
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import assume, given
from hypothesis import strategies as st

from transom.errors import Cancelled, CorruptContent
from transom.graph.compression import decompress
from transom.graph.digest import Digest
from transom.graph.verify import CountingReader, VerifyingReader

CONTENT = bytes(range(256)) * 2000


class Raw(io.RawIOBase):
    """A raw stream over bytes that gives few at a time, as a socket may."""

    def __init__(self, content: bytes) -> None:
        self._buffer = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._buffer.readinto(memoryview(buffer)[:3])


def plain(content: bytes) -> bytes:
    return content


MAGICS = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\0")


@pytest.mark.parametrize("compress", [plain, gzip.compress, zstandard.compress, bz2.compress, lzma.compress])
@given(st.binary(max_size=300))
def test_reading_undoes_compressing(compress: object, content: bytes) -> None:
    assume(compress is not plain or not content.startswith(MAGICS))
    assert decompress(Raw(compress(content))).read() == content  # type: ignore[operator]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress, bz2.compress, lzma.compress])
def test_several_members_are_one_stream(compress: object) -> None:
    assert decompress(Raw(compress(b"one") + compress(b"two"))).read() == b"onetwo"  # type: ignore[operator]


@pytest.mark.parametrize(
    ("kind", "compress"),
    [("gzip", gzip.compress), ("zstd", zstandard.compress), ("bzip2", bz2.compress), ("xz", lzma.compress)],
)
def test_damage_inside_a_stream_is_corrupt_content(kind: str, compress: Callable[[bytes], bytes]) -> None:
    compressed = bytearray(compress(CONTENT))
    compressed[len(compressed) // 2 :] = b"\xff" * (len(compressed) - len(compressed) // 2)
    with pytest.raises(CorruptContent, match=kind):
        decompress(Raw(bytes(compressed))).read()


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_stream_that_was_cut_off_is_corrupt_content(compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(CorruptContent, match="damaged"):
        decompress(Raw(compress(CONTENT)[:-9])).read()


def test_an_xz_stream_that_asks_for_much_memory_is_refused() -> None:
    greedy = lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}])
    with pytest.raises(CorruptContent, match="emory"):
        decompress(Raw(greedy)).read()


@given(st.binary(max_size=60), st.sampled_from([*MAGICS, b"\x1f\x8b\x08\x00", b"BZh91AY&SY", b""]))
def test_any_bytes_are_read_or_refused(content: bytes, magic: bytes) -> None:
    try:
        decompress(Raw(magic + content)).read()
    except CorruptContent:
        pass


@pytest.mark.parametrize("compress", [zstandard.compress, bz2.compress])
def test_a_stream_that_grows_enormously_is_read_in_bounded_memory(compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(bytes(200 << 20))
    tracemalloc.start()
    try:
        stream = decompress(Raw(bomb))
        while stream.read(1 << 16):
            pass
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compress", [plain, gzip.compress, zstandard.compress])
def test_what_progress_raises_comes_through_the_decompressor(compress: object) -> None:
    def cancel(count: int) -> None:
        raise Cancelled(f"cancelled after {count} bytes")

    with pytest.raises(Cancelled):
        decompress(CountingReader(Raw(compress(CONTENT)), cancel)).read()  # type: ignore[operator]


def test_progress_ends_at_the_size_of_the_stream() -> None:
    counts: list[int] = []
    compressed = gzip.compress(CONTENT)
    decompress(CountingReader(Raw(compressed), counts.append)).read()
    assert counts == sorted(counts)
    assert counts[-1] == len(compressed)


def test_verifying_reads_what_nobody_has_read() -> None:
    reader = VerifyingReader(io.BufferedReader(Raw(CONTENT)), Digest.of(CONTENT))
    assert reader.read(10)
    reader.verify()
    assert reader.read() == b""


def test_verifying_refuses_another_digest() -> None:
    reader = VerifyingReader(io.BufferedReader(Raw(CONTENT)), Digest.of(b"other"))
    with pytest.raises(CorruptContent, match="digest"):
        reader.verify()
