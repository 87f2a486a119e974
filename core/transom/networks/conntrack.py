"""ctnetlink: the flows that the kernel remembers, and with them where packets of a flow were led.

A flow of UDP is not begun anew: as long as a client sends, its datagrams go to where the first one went, also when that
address is another container's by now. Messages are linux/netfilter/nfnetlink_conntrack.h's.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from contextlib import closing

__all__ = ["forget_flows"]

_NETFILTER = 12
_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_NESTED = 0x8000
_ORIGINAL, _REPLY, _ID, _FILTER = 1, 2, 12, 25
_REPLY_FLAGS = 2
#: Which parts of a tuple a filter compares: the source's address and the protocol.
_SOURCE_AND_PROTOCOL = 1 << 0 | 1 << 3
_TUPLE_ADDRESSES, _TUPLE_PROTOCOL = 1, 2
_SOURCE = {4: 1, 6: 3}
_NUMBER = 1
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_HEADER = struct.Struct("=IHHII")
_GENERIC = struct.Struct(">BBH")
_LONGEST = 1 << 20


def forget_flows(address: str, protocol: int) -> int:
    """Forget the flows of a protocol (`IPPROTO_UDP`) that were led to an address; return how many there were.

    Raises `OSError` with the kernel's reason.
    """
    parsed = ipaddress.ip_address(address)
    family = _FAMILY[parsed.version]
    answers = _attribute(
        _REPLY | _NESTED,
        _attribute(_TUPLE_ADDRESSES | _NESTED, _attribute(_SOURCE[parsed.version], parsed.packed))
        + _attribute(_TUPLE_PROTOCOL | _NESTED, _attribute(_NUMBER, bytes([protocol]))),
    )
    wanted = _attribute(_FILTER | _NESTED, _attribute(_REPLY_FLAGS, struct.pack("=I", _SOURCE_AND_PROTOCOL)))
    count = 0
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)) as netlink:
        netlink.bind((0, 0))
        netlink.send(_message(_GET, _REQUEST | _DUMP, family, answers + wanted))
        # All are read before the first is deleted, as the answers come on the same socket.
        for flow in [_identity(content) for content in _answers(netlink)]:
            netlink.send(_message(_DELETE, _REQUEST | _ACK, family, flow))
            try:
                list(_answers(netlink))
            except FileNotFoundError:
                # It has ended by itself just now.
                continue
            count += 1
    return count


def _message(kind: int, flags: int, family: int, attributes: bytes) -> bytes:
    content = _GENERIC.pack(family, 0, 0) + attributes
    return _HEADER.pack(_HEADER.size + len(content), kind, flags, 0, 0) + content


def _attribute(kind: int, content: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(content), kind) + content + bytes(-len(content) % 4)


def _answers(netlink: socket.socket) -> Iterator[bytes]:
    """Yield the attributes of each message of an answer, until its end."""
    while True:
        data = netlink.recv(_LONGEST)
        while data:
            length, kind, _, _, _ = _HEADER.unpack_from(data)
            if kind == _DONE:
                return
            if kind == _ERROR:
                (number,) = struct.unpack_from("=i", data, _HEADER.size)
                if number:
                    raise OSError(-number, "the kernel does not tell of flows")
                return
            yield data[_HEADER.size + _GENERIC.size : length]
            data = data[(length + 3) & ~3 :]


def _identity(attributes: bytes) -> bytes:
    """Return the attributes of a flow by which it is deleted: where its first packet came from and went, and its ID."""
    found = b""
    while len(attributes) >= 4:
        length, kind = struct.unpack_from("=HH", attributes)
        size = (length + 3) & ~3
        if kind & ~_NESTED in (_ORIGINAL, _ID):
            found += attributes[:size]
        attributes = attributes[size:]
    return found
