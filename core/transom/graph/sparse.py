"""Sparse files: where a file has data, as archives and file systems say it.

Archives have four ways (GNU tar manual, "Storing Sparse Files"): the old GNU header, and the versions 0.0,
0.1 and 1.0 of pax records. All are read, and 1.0 is written.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping

from transom.errors import CorruptContent
from transom.graph.header import BLOCK, decode_number

__all__ = [
    "Segments",
    "check_segments",
    "decode_blocks",
    "decode_lists",
    "decode_map",
    "encode_map",
    "find_segments",
]

#: Offset and length of each stretch of data in a file, ascending; what is between is a hole.
Segments = tuple[tuple[int, int], ...]

#: More stretches than this in one file are refused, so that an archive cannot eat the memory.
_MAXIMUM = 1 << 20
_FIELD = 12


def check_segments(segments: Segments, size: int, stored: int) -> Segments:
    """Return the map of a file of `size` bytes, of which the archive has `stored`, if it is possible."""
    end = 0
    total = 0
    for offset, length in segments:
        if offset < end or length < 0:
            raise CorruptContent("the archive has a sparse file whose map is not in order")
        end = offset + length
        total += length
    if end > size or total != stored:
        raise CorruptContent("the archive has a sparse file whose map does not fit its size")
    return tuple(segment for segment in segments if segment[1])


def decode_blocks(blocks: Iterator[bytes], header: bytes) -> tuple[Segments, int]:
    """Return the map and real size of an old GNU sparse file from its header and the blocks after it."""
    size = decode_number(header[483:495])
    fields = header[386:482]
    more = header[482]
    segments: list[tuple[int, int]] = []
    while True:
        for start in range(0, len(fields), 2 * _FIELD):
            length = fields[start + _FIELD : start + 2 * _FIELD]
            if length[0]:
                segments.append((decode_number(fields[start : start + _FIELD]), decode_number(length)))
        if not more:
            return tuple(segments), size
        _check_count(len(segments))
        block = next(blocks)
        fields = block[:504]
        more = block[504]


def decode_lists(records: Iterable[tuple[bytes, bytes]]) -> Segments:
    """Return the map of version 0.0, in which records of offset and of length take turns."""
    offsets = [_decimal(value) for keyword, value in records if keyword == b"GNU.sparse.offset"]
    lengths = [_decimal(value) for keyword, value in records if keyword == b"GNU.sparse.numbytes"]
    if len(offsets) != len(lengths):
        raise CorruptContent("the archive has a sparse file whose map has an offset without a length")
    return tuple(zip(offsets, lengths, strict=True))


def decode_map(records: Mapping[bytes, bytes], blocks: Iterator[bytes]) -> tuple[Segments, int]:
    """Return the map of version 0.1 or 1.0, and how many bytes of the file's content it took.

    Version 0.1 has it in a record; 1.0 in decimal numbers, one to a line, in the content's first blocks.
    """
    if (in_record := records.get(b"GNU.sparse.map")) is not None:
        return _pairs([_decimal(number) for number in in_record.split(b",")] if in_record else []), 0
    text = b""
    used = 0
    numbers: list[int] = []
    wanted = 1
    while len(numbers) < wanted:
        line, newline, rest = text.partition(b"\n")
        if newline:
            numbers.append(_decimal(line))
            text = rest
            if len(numbers) == 1:
                _check_count(numbers[0])
                wanted = 1 + 2 * numbers[0]
        elif len(text) > BLOCK:
            raise CorruptContent("the archive has a sparse file whose map is not a list of numbers")
        else:
            text += next(blocks)
            used += BLOCK
    return _pairs(numbers[1:]), used


def encode_map(segments: Segments, size: int) -> bytes:
    """Return the map of version 1.0, filled up to whole blocks, which goes before the data of a file of
    `size` bytes.

    GNU tar takes the file's end from the last piece, so a hole at the end is followed by an empty one.
    """
    pieces = segments if segments and sum(segments[-1]) == size else (*segments, (size, 0))
    numbers = [len(pieces), *(number for piece in pieces for number in piece)]
    text = b"".join(b"%d\n" % number for number in numbers)
    return text + bytes(-len(text) % BLOCK)


def find_segments(descriptor: int, status: os.stat_result) -> Segments:
    """Return where an open file has data, as its file system knows it (lseek(2), SEEK_DATA)."""
    size = status.st_size
    if status.st_blocks * 512 >= size:
        return ((0, size),) if size else ()
    segments: list[tuple[int, int]] = []
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            # ENXIO: there is no data after the position.
            if error.errno != errno.ENXIO:
                raise
            break
        position = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        if start < position:
            segments.append((start, position - start))
    return tuple(segments)


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise CorruptContent(f"the archive has a sparse file with {text[:40]!r} in its map where a number should be")
    return int(text)


def _pairs(numbers: list[int]) -> Segments:
    if len(numbers) % 2:
        raise CorruptContent("the archive has a sparse file whose map has an offset without a length")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _check_count(count: int) -> None:
    if count > _MAXIMUM:
        raise CorruptContent(f"the archive has a sparse file of more than {_MAXIMUM} pieces")
