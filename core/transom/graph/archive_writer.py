"""Writing tar archives, in the form that every reader of layers knows: ustar, and pax records for what it
cannot say.

Pax records carry long names, large numbers, nanoseconds, extended attributes and the maps of sparse files
(GNU tar's version 1.0, which Go's reader knows too). The same entries always give the same bytes.
"""

from __future__ import annotations

from transom.graph import pax
from transom.graph.archive import Entry, Kind
from transom.graph.header import BLOCK, Header, encode_header, fits, split_name
from transom.graph.sparse import Segments, encode_map

__all__ = ["END", "encode_entry", "padding"]

#: What an archive ends with.
END = bytes(2 * BLOCK)

_SECOND = 1_000_000_000


def padding(size: int) -> bytes:
    """Return what follows content of this many bytes."""
    return bytes(-size % BLOCK)


def encode_entry(entry: Entry, segments: Segments | None = None) -> bytes:
    """Return all that goes before an entry's content.

    With `segments` the file is sparse, and its content is the data of these pieces, one after the other.
    """
    records: dict[bytes, bytes] = {}
    name = entry.name
    size = entry.size
    sparse_map = b""
    if segments is not None:
        sparse_map = encode_map(segments, entry.size)
        size = len(sparse_map) + sum(length for _, length in segments)
        records |= {
            b"GNU.sparse.major": b"1",
            b"GNU.sparse.minor": b"0",
            b"GNU.sparse.name": name,
            b"GNU.sparse.realsize": b"%d" % entry.size,
        }
        name = _beside(name, b"GNUSparseFile.0")
    elif split_name(name) is None:
        records[b"path"] = name
    if len(entry.link) > 100:
        records[b"linkpath"] = entry.link
    if not all(map(_is_utf8, records.values())):
        records = {b"hdrcharset": b"BINARY", **records}
    if not fits(size):
        records[b"size"] = b"%d" % size
    if not fits(entry.uid, identity=True):
        records[b"uid"] = b"%d" % entry.uid
    if not fits(entry.gid, identity=True):
        records[b"gid"] = b"%d" % entry.gid
    seconds, fraction = divmod(entry.mtime, _SECOND)
    if fraction or not fits(seconds):
        records[b"mtime"] = pax.encode_time(entry.mtime)
    records |= pax.encode_attributes(entry.attributes)
    header = Header(
        name,
        entry.kind.value,
        entry.mode,
        entry.uid if fits(entry.uid, identity=True) else 0,
        entry.gid if fits(entry.gid, identity=True) else 0,
        size if fits(size) else 0,
        seconds if fits(seconds) else 0,
        entry.link,
        entry.major if entry.kind in _DEVICES else 0,
        entry.minor if entry.kind in _DEVICES else 0,
    )
    return _encode_extended(entry.name, records) + encode_header(header) + sparse_map


_DEVICES = frozenset((Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE))


def _encode_extended(name: bytes, records: dict[bytes, bytes]) -> bytes:
    if not records:
        return b""
    data = pax.encode_records(records)
    header = Header(_beside(name, b"PaxHeaders.0"), b"x", 0o644, size=len(data))
    return encode_header(header) + data + padding(len(data))


def _beside(name: bytes, directory: bytes) -> bytes:
    """Return the name that a reader sees which does not know what the records mean; it need not be whole."""
    above, _, base = name.rstrip(b"/").rpartition(b"/")
    full = b"/".join(part for part in (above, directory, base) if part)
    return full if split_name(full) else b"/".join((directory, base))[:100]


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
