"""Extended headers of archives: records of keyword and value (POSIX.1-2017, pax, "pax Extended Header")."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from transom.errors import CorruptContent

__all__ = [
    "decode_attributes",
    "decode_records",
    "decode_time",
    "effective_records",
    "encode_attributes",
    "encode_records",
    "encode_time",
]

_NANOSECONDS = 1_000_000_000
_LIMIT = 1 << 62
_STAR = b"SCHILY.xattr."
_BSD = b"LIBARCHIVE.xattr."


def decode_records(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the records of an extended header, in their order. Raises `CorruptContent`."""
    records: list[tuple[bytes, bytes]] = []
    position = 0
    while position < len(data) and data[position]:
        space = data.find(b" ", position, position + 20)
        digits = data[position:space] if space > 0 else b""
        end = position + int(digits) if digits.isdigit() else position
        if not position < space < end <= len(data) or data[end - 1] != 0x0A:
            raise CorruptContent("the archive has an extended header whose records do not fit their lengths")
        keyword, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not keyword:
            raise CorruptContent("the archive has an extended header with a record that is not a keyword and a value")
        records.append((keyword, value))
        position = end
    return records


def effective_records(records: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the records but those that an empty value takes back. An extended attribute may be empty."""
    return {keyword: value for keyword, value in records.items() if value or keyword.startswith((_STAR, _BSD))}


def encode_records(records: Mapping[bytes, bytes]) -> bytes:
    """Return the records as the content of an extended header, the inverse of `decode_records`."""
    return b"".join(_encode_record(keyword, value) for keyword, value in records.items())


def _encode_record(keyword: bytes, value: bytes) -> bytes:
    """A record begins with its length, which counts its own digits."""
    rest = len(keyword) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, keyword, value)


def decode_time(value: bytes) -> int:
    """Return a decimal number of seconds as nanoseconds since the epoch; digits beyond are cut off."""
    whole, _, fraction = value.partition(b".")
    digits = whole.removeprefix(b"-")
    if not digits.isdigit() or not (fraction.isdigit() or not fraction) or len(digits) > 19:
        raise CorruptContent(f"the archive has a time that is not a number of seconds: {value[:40]!r}")
    nanoseconds = int(digits) * _NANOSECONDS + int(fraction[:9].ljust(9, b"0"))
    if int(digits) > _LIMIT:
        raise CorruptContent(f"the archive has a time beyond what a file system can say: {value[:40]!r}")
    return -nanoseconds if whole.startswith(b"-") else nanoseconds


def encode_time(nanoseconds: int) -> bytes:
    """Return nanoseconds since the epoch as decimal seconds, the inverse of `decode_time`."""
    seconds, fraction = divmod(abs(nanoseconds), _NANOSECONDS)
    text = f"{'-' if nanoseconds < 0 else ''}{seconds}"
    return (f"{text}.{fraction:09d}".rstrip("0") if fraction else text).encode()


def decode_attributes(records: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the extended attributes among the records, in star's and GNU tar's form or in libarchive's."""
    attributes: dict[bytes, bytes] = {}
    for keyword, value in records.items():
        if keyword.startswith(_STAR):
            name = keyword[len(_STAR) :].replace(b"%3D", b"=").replace(b"%25", b"%")
        elif keyword.startswith(_BSD):
            name = unquote_to_bytes(keyword[len(_BSD) :])
            try:
                value = base64.b64decode(value + b"=" * (-len(value) % 4))
            except binascii.Error as error:
                raise CorruptContent(f"the archive has an extended attribute {name!r} that is not base64") from error
        else:
            continue
        if not name or b"\0" in name:
            raise CorruptContent(f"the archive has an extended attribute with the impossible name {name!r}")
        attributes.setdefault(name, value)
    return attributes


def encode_attributes(attributes: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return extended attributes as records, sorted, in star's form, which GNU tar, bsdtar and Go read."""
    return {_STAR + name.replace(b"%", b"%25").replace(b"=", b"%3D"): attributes[name] for name in sorted(attributes)}
