"""The records of a log, as Docker's driver `local` writes them.

A record is the length of a message as four bytes, most significant first, the message, and its length once more. The
message is Docker's `LogEntry` in the encoding of protocol buffers (https://protobuf.dev/programming-guides/encoding/):

    string source = 1;  int64 time_nano = 2;  bytes line = 3;  bool partial = 4;
    PartialLogEntryMetadata partial_log_metadata = 5 { bool last = 1;  string id = 2;  int32 ordinal = 3; }
    repeated LogAttr attrs = 6 { string key = 1;  string value = 2; }

A line has no newline here. It ends with one unless it is a part that is not the last. Fields 6 are what the log's
options ask for; versions of Docker that do not know them leave them out.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from transom.logs.lines import Piece

__all__ = ["LENGTH", "LONGEST_MESSAGE", "Message", "decode", "encode", "encode_all", "encode_attributes", "encode_head"]

#: The length before and after a message.
LENGTH = struct.Struct(">I")
#: Docker reads no longer ones.
LONGEST_MESSAGE = 1_000_000

#: The fields 1 and 2, and the beginning of field 3.
_PLAIN = re.compile(rb"\x0a\x06(stdout|stderr)\x10([\x80-\xff]{0,9}[\x00-\x7f])\x1a")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WORD = 1 << 64


@dataclass(slots=True)
class Message:
    """A decoded message. `time` is in nanoseconds since the epoch."""

    source: str = ""
    time: int = 0
    line: bytes = b""
    partial: bool = False
    last: bool = False
    id: str = ""
    ordinal: int = 0
    attributes: dict[str, str] = field(default_factory=dict)


def encode_head(source: str, time: int) -> bytes:
    """Return the part of a message that comes before its line."""
    return _bytes(1, source.encode()) + b"\x10" + _varint(time)


def encode_attributes(attributes: Mapping[str, str]) -> bytes:
    """Return the part of a message that comes after everything else."""
    return b"".join(
        _bytes(6, _bytes(1, name.encode()) + _bytes(2, attributes[name].encode())) for name in sorted(attributes)
    )


def encode(head: bytes, piece: Piece, attributes: bytes) -> bytes:
    """Return the record of a line or part of a line."""
    message = b"%b\x1a%b%b" % (head, _varint(len(piece.line)), piece.line) if piece.line else head
    if piece.id:
        part = b"\x08\x01" if piece.last else b""
        part += _bytes(2, piece.id.encode()) + b"\x18" + _varint(piece.ordinal)
        message += b"\x20\x01" + _bytes(5, part)
    message += attributes
    length = LENGTH.pack(len(message))
    return b"%b%b%b" % (length, message, length)


def encode_all(head: bytes, pieces: Iterable[Piece], attributes: bytes) -> bytes:
    """Return the records of what was written at one time. Whole lines of one length have the same around them."""
    around: dict[int, tuple[bytes, bytes]] = {}
    parts: list[bytes] = []
    for piece in pieces:
        if piece.id or not piece.line:
            parts.append(encode(head, piece, attributes))
            continue
        size = len(piece.line)
        if size not in around:
            begin = b"%b\x1a%b" % (head, _varint(size))
            length = LENGTH.pack(len(begin) + size + len(attributes))
            around[size] = length + begin, attributes + length
        before, after = around[size]
        parts += (before, piece.line, after)
    return b"".join(parts)


def decode(data: bytes) -> Message:
    """Return a message. Raises `ValueError` for what is none; fields that are not known are passed over."""
    plain = _PLAIN.match(data)
    if plain is not None:
        # Almost all are whole lines without attributes, many with one time.
        length, position = _read_varint(data, plain.end())
        if position + length == len(data):
            return Message(plain[1].decode(), _number(plain[2]), data[position:])
    message = Message()
    for number, value in _fields(data):
        match number, value:
            case 1, bytes():
                message.source = value.decode()
            case 2, int():
                message.time = value
            case 3, bytes():
                message.line = value
            case 4, int():
                message.partial = bool(value)
            case 5, bytes():
                _decode_part(message, value)
            case 6, bytes():
                pair = dict(_fields(value))
                name, text = pair.get(1, b""), pair.get(2, b"")
                if not (isinstance(name, bytes) and isinstance(text, bytes)):
                    raise ValueError("an attribute is no pair of texts")
                message.attributes[name.decode()] = text.decode()
    return message


def _decode_part(message: Message, data: bytes) -> None:
    for number, value in _fields(data):
        match number, value:
            case 1, int():
                message.last = bool(value)
            case 2, bytes():
                message.id = value.decode()
            case 3, int():
                message.ordinal = value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the numbers and values of a message's fields: whole numbers, or bytes."""
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        kind = key & 7
        if kind == _VARINT:
            value, position = _read_varint(data, position)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            length, position = _read_varint(data, position)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        end = position + length
        if end > len(data):
            raise ValueError("a field goes beyond the end of its message")
        yield key >> 3, data[position:end]
        position = end


@functools.lru_cache(maxsize=64)
def _number(encoded: bytes) -> int:
    return _read_varint(encoded, 0)[0]


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("a number has no end")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value % _WORD, position
        shift += 7


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _bytes(number: int, value: bytes) -> bytes:
    return bytes((number << 3 | _BYTES,)) + _varint(len(value)) + value
