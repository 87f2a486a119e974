"""The 512-byte header of a tar archive's entry: its fields, numbers and checksum (POSIX.1-2017, pax,
"ustar").

GNU tar's extensions are read too: numbers in base 256, and a header that has no prefix but other fields
there.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache

from transom.errors import CorruptContent

__all__ = ["BLOCK", "Header", "decode_header", "decode_number", "encode_header", "fits", "split_name"]

#: Everything in an archive is padded to a multiple of this many bytes.
BLOCK = 512

_FIELDS = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_CHECKSUM = slice(148, 156)
_HALF = BLOCK // 2
_USTAR = b"ustar\x0000"
#: Eleven octal digits: the largest size, and latest time, that a plain ustar header can say.
_MAXIMUM = 0o77777777777
_MAXIMUM_ID = 0o7777777


@dataclass(slots=True)
class Header:
    """The fields of a header. Names are without the NULs that fill the field; `mtime` is in seconds."""

    name: bytes
    kind: bytes
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0


def decode_number(field: bytes) -> int:
    """Return a numeric field's value: octal digits, or base 256 where the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ~(0x80 << (8 * len(field) - 8))
        return value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value
    text = field[:-1]
    if not text.isdigit():
        text = field.partition(b"\0")[0].strip(b" ")
        if not text:
            return 0
    if not text.isdigit() or b"8" in text or b"9" in text:
        raise CorruptContent(f"the archive has a header with {field!r} where a number should be")
    return int(text, 8)


#: Modes and owners are the same few in all of an archive.
_decode_again = lru_cache(256)(decode_number)


def decode_header(block: bytes) -> Header:
    """Return the fields of a header. Raises `CorruptContent` for a wrong checksum or number."""
    (name, mode, uid, gid, size, mtime, checksum, kind, link, magic, _, _, major, minor, prefix) = _FIELDS.unpack(block)
    # The checksum counts its own field as spaces. Some old programs added the bytes as signed numbers.
    expected = decode_number(checksum)
    actual = _sum(block) - sum(checksum) + 8 * 0x20
    if actual != expected:
        high = sum(byte > 0x7F for byte in block) - sum(byte > 0x7F for byte in checksum)
        if actual - 256 * high != expected:
            raise CorruptContent("the archive has a header whose checksum is wrong, or it is not a tar archive")
    name = name.partition(b"\0")[0]
    if magic.startswith(b"ustar\0") and prefix[0]:
        name = prefix.partition(b"\0")[0] + b"/" + name
    device = kind in b"34"
    return Header(
        name,
        kind,
        _decode_again(mode),
        _decode_again(uid),
        _decode_again(gid),
        decode_number(size),
        decode_number(mtime),
        link.partition(b"\0")[0],
        decode_number(major) if device else 0,
        decode_number(minor) if device else 0,
    )


def encode_header(header: Header) -> bytes:
    """Return the ustar header with these fields. Numbers must fit; names that are too long are cut off."""
    prefix, name = split_name(header.name) or (b"", header.name[:100])
    block = bytearray(
        _FIELDS.pack(
            name,
            b"%07o\0" % header.mode,
            b"%07o\0" % header.uid,
            b"%07o\0" % header.gid,
            b"%011o\0" % header.size,
            b"%011o\0" % header.mtime,
            b" " * 8,
            header.kind,
            header.link[:100],
            _USTAR,
            b"",
            b"",
            b"%07o\0" % header.major,
            b"%07o\0" % header.minor,
            prefix,
        )
    )
    block[_CHECKSUM] = b"%06o\0 " % _sum(block)
    return bytes(block)


def _sum(block: bytes | bytearray) -> int:
    """Return the sum of a block's bytes: the lower half of Adler-32 (RFC 1950) is just that, from one on and modulo
    65521, which half a block does not reach."""
    view = memoryview(block)
    return (zlib.adler32(view[:_HALF]) & 0xFFFF) + (zlib.adler32(view[_HALF:]) & 0xFFFF) - 2


def fits(value: int, *, identity: bool = False) -> bool:
    """Return whether a header can say a number: a size or time, or the `identity` of an owner or group."""
    return 0 <= value <= (_MAXIMUM_ID if identity else _MAXIMUM)


def split_name(name: bytes) -> tuple[bytes, bytes] | None:
    """Return the name as a header's prefix and name, split at a slash, or None if it is too long for that."""
    if len(name) <= 100:
        return b"", name
    slash = name.rfind(b"/", 0, 156)
    # A slash at the end belongs to the name: it says that this is a directory.
    if slash == len(name) - 1:
        slash = name.rfind(b"/", 0, slash)
    if slash <= 0 or len(name) - slash - 1 > 100:
        return None
    return name[:slash], name[slash + 1 :]
