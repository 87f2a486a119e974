"""Reading tar archives, as layers are (OCI image specification, layer.md, "Distributable Format").

Every dialect that tools make is read: ustar, pax (POSIX.1-2017), GNU tar's (long names, sparse files, large
numbers), and what came before them. A name is bytes and may have any byte but NUL. The stream is read from
its beginning to its end, in large pieces and without seeking, and is untrusted: whatever it says, the only
error is `CorruptContent`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Protocol

from transom.errors import CorruptContent
from transom.graph import pax, sparse
from transom.graph.header import BLOCK, Header, decode_header

__all__ = ["Content", "Data", "Entry", "Kind", "read_archive", "shown"]

_CHUNK = 1 << 20
#: Extended headers and long names above this are refused, as Go's reader does.
_MAXIMUM_SPECIAL = 1 << 20
#: Sizes and offsets are signed 64-bit numbers everywhere; -1 as an owner means "leave it" to the kernel.
_MAXIMUM_SIZE = (1 << 63) - 1
_MAXIMUM_ID = (1 << 32) - 2
_MAXIMUM_TIME = (1 << 62) * 1_000_000_000
#: Linux has device numbers of 12 and 20 bits.
_MAXIMUM_MAJOR = (1 << 12) - 1
_MAXIMUM_MINOR = (1 << 20) - 1
_NO_ATTRIBUTES: Mapping[bytes, bytes] = {}


class Kind(enum.Enum):
    """What an entry is; the values are the type flags of the format."""

    FILE = b"0"
    HARD_LINK = b"1"
    SYMLINK = b"2"
    CHARACTER_DEVICE = b"3"
    BLOCK_DEVICE = b"4"
    DIRECTORY = b"5"
    FIFO = b"6"


#: Besides the kinds' own: files of archives before ustar, contiguous files, old GNU sparse files, and GNU
#: tar's directories of incremental backups.
_KINDS = {
    **{kind.value: kind for kind in Kind},
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"S": Kind.FILE,
    b"D": Kind.DIRECTORY,
}
_WITH_CONTENT = frozenset((b"\0", b"0", b"7", b"S", b"D"))


def shown(name: bytes) -> str:
    """Return a name for a message: readable, whatever bytes it has, and not too long."""
    text = name.decode("utf-8", "backslashreplace")
    return text if len(text) <= 200 else f"{text[:100]}…{text[-100:]}"


class _Source:
    """The stream, through a buffer that hands out views of itself instead of copies."""

    __slots__ = ("_buffer", "_end", "_position", "_stream")

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._buffer = memoryview(b"")
        self._position = 0
        self._end = 0

    def _fill(self) -> bool:
        self._buffer = memoryview(self._stream.read(_CHUNK))
        self._position = 0
        self._end = len(self._buffer)
        return self._end > 0

    def take(self, length: int) -> memoryview:
        """Return from 1 to `length` bytes, whatever is there."""
        if self._position == self._end and not self._fill():
            raise CorruptContent("the archive is cut off: it ends in the middle of an entry")
        view = self._buffer[self._position : self._position + length]
        self._position += len(view)
        return view

    def read(self, length: int) -> bytes:
        """Return `length` bytes."""
        view = self.take(length) if length else memoryview(b"")
        if len(view) == length:
            return bytes(view)
        parts = bytearray(view)
        while len(parts) < length:
            parts += self.take(length - len(parts))
        return bytes(parts)

    def skip(self, length: int) -> None:
        while length:
            length -= len(self.take(length))

    def skip_padding(self, length: int) -> None:
        """Pass over what fills the last block of an entry; the last entry may do without it, as in Docker's client."""
        while length and (self._position < self._end or self._fill()):
            length -= len(self.take(length))

    def block(self) -> bytes | None:
        """Return the next header block, or None at the end of the stream."""
        if self._position == self._end and not self._fill():
            return None
        return self.read(BLOCK)

    def blocks(self) -> Iterator[bytes]:
        """Yield blocks that are part of an entry, for as long as they are asked for."""
        while True:
            yield self.read(BLOCK)


class Content:
    """What is in a file. It can be read once, before the next entry is asked for."""

    __slots__ = ("_left", "_padding", "_source", "segments")

    def __init__(self, source: _Source, segments: sparse.Segments, stored: int, padding: int) -> None:
        #: Where the file has data. What lies between is a hole.
        self.segments = segments
        self._source = source
        self._left = stored
        self._padding = padding

    def pieces(self) -> Iterator[tuple[int, memoryview]]:
        """Yield the data, each piece with its offset in the file, ascending. Raises `CorruptContent`."""
        for start, length in self.segments:
            offset = start
            end = start + length
            while offset < end:
                view = self._source.take(end - offset)
                self._left -= len(view)
                yield offset, view
                offset += len(view)

    def skip(self) -> None:
        """Pass over what was not read, to where the next header is."""
        self._source.skip(self._left)
        self._source.skip_padding(self._padding)
        self._left = self._padding = 0


class Data(Protocol):
    """What is in a file that an entry stands for, wherever it comes from."""

    @property
    def segments(self) -> sparse.Segments:
        """Where the file has data. What lies between is a hole."""

    def pieces(self) -> Iterator[tuple[int, memoryview]]:
        """Yield the data, each piece with its offset in the file, ascending; what is between is a hole."""

    def skip(self) -> None:
        """Pass over what was not read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `name` and `link` are as the archive has them, so a directory's name may end with a slash.

    `size` is a file's in bytes, holes included, and 0 for every other kind; `mode` the permission bits;
    `mtime` in nanoseconds since the epoch; `link` the target of a symbolic link, or the name of the entry
    that a hard link is another name of; `attributes` the extended attributes.
    """

    name: bytes
    kind: Kind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0
    attributes: Mapping[bytes, bytes] = field(default_factory=dict)
    content: Data | None = field(default=None, compare=False, repr=False)


def read_archive(stream: IO[bytes]) -> Iterator[Entry]:
    """Yield the entries of an uncompressed archive in their order.

    `stream.read` may return less than it is asked for, and nothing only at the end. The archive ends, as for
    GNU tar, with a block of zeros or where the stream ends between entries; what follows is left to the
    caller. Raises `CorruptContent`.
    """
    source = _Source(stream)
    defaults: dict[bytes, bytes] = {}
    extended = _Extended(defaults)
    while (block := source.block()) is not None and block.count(0) != BLOCK:
        header = decode_header(block)
        if header.kind in _WITH_CONTENT or header.kind not in _KINDS:
            _check_size(header.size)
        if header.kind in _SPECIAL:
            extended.add(header.kind, _read_special(source, header.size), defaults)
            continue
        entry = extended.entry(source, header, block)
        yield entry
        if entry.content is not None:
            entry.content.skip()
        if extended.used:
            extended = _Extended(defaults)


#: Extended headers of an entry (Solaris's letter too) and of all entries, GNU tar's long link and long name,
#: and two of GNU tar's that say nothing about files: the volume's label, and names in a form that nobody
#: makes any more.
_SPECIAL = frozenset((b"x", b"X", b"g", b"K", b"L", b"V", b"N"))


def _read_special(source: _Source, size: int) -> bytes:
    if size > _MAXIMUM_SPECIAL:
        raise CorruptContent(f"the archive has an extended header of {size} bytes; at most {_MAXIMUM_SPECIAL} are read")
    data = source.read(size)
    source.skip(-size % BLOCK)
    return data


def _check_size(size: int) -> None:
    if not 0 <= size <= _MAXIMUM_SIZE:
        raise CorruptContent(f"the archive has an entry of the impossible size {size}")


class _Extended:
    """What extended headers and long names say about the entry that follows them."""

    __slots__ = ("_link", "_name", "_pairs", "_records", "used")

    def __init__(self, defaults: Mapping[bytes, bytes]) -> None:
        self.used = False
        self._records: dict[bytes, bytes] = dict(defaults)
        self._pairs: list[tuple[bytes, bytes]] = []
        self._name: bytes | None = None
        self._link: bytes | None = None

    def add(self, kind: bytes, data: bytes, defaults: dict[bytes, bytes]) -> None:
        """Take in a special entry; the records of a global one become defaults of all entries that follow."""
        self.used = True
        if kind == b"L":
            self._name = data.partition(b"\0")[0]
        elif kind == b"K":
            self._link = data.partition(b"\0")[0]
        elif kind == b"g":
            defaults.update(pax.decode_records(data))
            self._records = defaults | self._records
        elif kind in b"xX":
            self._pairs = pax.decode_records(data)
            self._records.update(self._pairs)

    def entry(self, source: _Source, header: Header, block: bytes) -> Entry:
        """Return the entry of a header, with what was said before it."""
        records = pax.effective_records(self._records) if self._records else {}
        kind = _KINDS.get(header.kind)
        if kind is None:
            raise CorruptContent(f"the archive has an entry {shown(header.name)!r} of the unknown type {header.kind!r}")
        name = self._name or records.get(b"GNU.sparse.name") or records.get(b"path") or header.name
        link = self._link or records.get(b"linkpath") or header.link
        if header.kind == b"\0" and name.endswith(b"/"):
            kind = Kind.DIRECTORY
        if not name or b"\0" in name or b"\0" in link:
            raise CorruptContent(f"the archive has an entry with the impossible name {shown(name)!r}")
        size, content = self._content(source, header, block, records)
        uid = _decimal(records, b"uid", header.uid)
        gid = _decimal(records, b"gid", header.gid)
        mtime = pax.decode_time(records[b"mtime"]) if b"mtime" in records else header.mtime * 1_000_000_000
        if not (0 <= uid <= _MAXIMUM_ID and 0 <= gid <= _MAXIMUM_ID and header.mode >= 0):
            raise CorruptContent(f"the archive has an impossible owner, group or mode for {shown(name)!r}")
        if abs(mtime) > _MAXIMUM_TIME or not (
            0 <= header.major <= _MAXIMUM_MAJOR and 0 <= header.minor <= _MAXIMUM_MINOR
        ):
            raise CorruptContent(f"the archive has an impossible time or device number for {shown(name)!r}")
        return Entry(
            name,
            kind,
            header.mode & 0o7777,
            uid,
            gid,
            size if kind is Kind.FILE else 0,
            mtime,
            link,
            header.major,
            header.minor,
            pax.decode_attributes(records) if records else _NO_ATTRIBUTES,
            content,
        )

    def _content(
        self, source: _Source, header: Header, block: bytes, records: Mapping[bytes, bytes]
    ) -> tuple[int, Content | None]:
        """Return the size of a file, holes included, and its content."""
        if header.kind not in _WITH_CONTENT:
            return 0, None
        stored = _decimal(records, b"size", header.size)
        _check_size(stored)
        size = stored
        padding = -stored % BLOCK
        segments: sparse.Segments = ((0, stored),) if stored else ()
        if header.kind == b"S":
            segments, size = sparse.decode_blocks(source.blocks(), block)
        elif any(keyword.startswith(b"GNU.sparse.") for keyword in records):
            size = _decimal(records, b"GNU.sparse.realsize", _decimal(records, b"GNU.sparse.size", stored))
            if b"GNU.sparse.map" in records or records.get(b"GNU.sparse.major") == b"1":
                segments, used = sparse.decode_map(records, source.blocks())
                stored -= used
            else:
                segments = sparse.decode_lists(self._pairs)
        _check_size(size)
        return size, Content(source, sparse.check_segments(segments, size, stored), stored, padding)


def _decimal(records: Mapping[bytes, bytes], keyword: bytes, default: int) -> int:
    """Return a record that is a decimal number."""
    text = records.get(keyword)
    if text is None:
        return default
    if not text.isdigit() or len(text) > 19:
        raise CorruptContent(f"the archive has {text[:40]!r} as {shown(keyword)}, which should be a number")
    return int(text)
