"""Writing tar archives, in the form that every reader of layers knows: ustar, and pax records for what it
cannot say.

Pax records carry long names, large numbers, nanoseconds, extended attributes and the maps of sparse files
(GNU tar's version 1.0, which Go's reader knows too). The same entries always give the same bytes.
"""

from __future__ import annotations

from functools import lru_cache

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
    uid, gid = entry.uid, entry.gid
    if not fits(size):
        records[b"size"] = b"%d" % size
        size = 0
    if not fits(uid, identity=True):
        records[b"uid"] = b"%d" % uid
        uid = 0
    if not fits(gid, identity=True):
        records[b"gid"] = b"%d" % gid
        gid = 0
    seconds, fraction = divmod(entry.mtime, _SECOND)
    if not fits(seconds):
        seconds, fraction = 0, 1
    if fraction:
        records[b"mtime"] = pax.encode_time(entry.mtime)
    if entry.attributes:
        records |= pax.encode_attributes(entry.attributes)
    device = entry.kind in _DEVICES
    header = Header(
        name,
        entry.kind.value,
        entry.mode,
        uid,
        gid,
        size,
        seconds,
        entry.link,
        entry.major if device else 0,
        entry.minor if device else 0,
    )
    return _encode_extended(records) + encode_header(header) + sparse_map


_DEVICES = frozenset((Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE))


def _encode_extended(records: dict[bytes, bytes]) -> bytes:
    if not records:
        return b""
    data = pax.encode_records(records)
    return _extended_header(len(data)) + data + padding(len(data))


@lru_cache(256)
def _extended_header(size: int) -> bytes:
    """Return what goes before records. Whoever knows what they are does not look at its name; so all have the same."""
    return encode_header(Header(b"PaxHeaders.0/records", b"x", 0o644, size=size))


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
