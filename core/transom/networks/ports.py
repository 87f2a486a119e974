"""Published ports: what is asked for, what was made of it, and the sockets that reserve ports of the machine."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from transom.errors import Conflict, InvalidParameter

__all__ = ["PortBinding", "PublishedPort", "Reservation", "parse_exposed", "parse_host_port", "parse_port", "reserve"]

_PROTOCOLS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_PORT = re.compile(r"(\d{1,5})(?:/(\w+))?\Z")
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?\Z")
_BACKLOG = 4096
#: How often the kernel is asked for a port that is free in both families.
_TRIES = 32


@dataclass(frozen=True)
class PortBinding:
    """A port of a container that is to be published: on one address of the machine, or (empty) on all.

    `first` and `last` are the ports of the machine that it may get, 0 for any.
    """

    port: int
    protocol: str = "tcp"
    address: str = ""
    first: int = 0
    last: int = 0


@dataclass(frozen=True)
class PublishedPort:
    """A port of a container that is published at an address and port of the machine."""

    port: int
    protocol: str
    address: str
    host_port: int


@dataclass(frozen=True)
class Reservation:
    """A published port with the socket that has it."""

    published: PublishedPort
    socket: socket.socket


def parse_port(text: str) -> tuple[int, str]:
    """Return a container's port and protocol of `80/tcp`. Raises `InvalidParameter`."""
    match = _PORT.match(text)
    if not match or not 0 < int(match[1]) < 65536:
        raise InvalidParameter(f"invalid port specification: {text!r}")
    protocol = (match[2] or "tcp").lower()
    if protocol not in _PROTOCOLS:
        raise InvalidParameter(f"invalid port specification: {text!r}: the protocol should be tcp, udp or sctp")
    return int(match[1]), protocol


def parse_host_port(text: str) -> tuple[int, int]:
    """Return the first and the last of the machine's ports that `8000-8010` allows. Raises `InvalidParameter`."""
    if not text:
        return 0, 0
    match = _RANGE.match(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (-1, -1)
    if not 0 <= first <= last < 65536:
        raise InvalidParameter(f"invalid port specification: {text!r}: it should be a port or a range of ports")
    return first, last


def parse_exposed(ports: Iterable[str]) -> set[tuple[int, str]]:
    """Return the ports, with their protocols, of `80/tcp` and `8000-8010/udp`. Raises `InvalidParameter`."""
    found = set()
    for text in ports:
        numbers, _, protocol = text.partition("/")
        first, _, last = numbers.partition("-")
        ends = [parse_port(f"{number}/{protocol or 'tcp'}") for number in (first, last or first)]
        found |= {(port, ends[0][1]) for port in range(ends[0][0], ends[1][0] + 1)}
    return found


def check_address(text: str) -> None:
    """Raise `InvalidParameter` for what is no address of a machine."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise InvalidParameter(f"invalid IP address: {text}") from None


def reserve(binding: PortBinding, *, ipv6: bool) -> list[Reservation]:
    """Take the ports of the machine that a binding asks for: one on each family where it names no address.

    Raises `Conflict` if another has them.
    """
    addresses = [binding.address] if binding.address else ["0.0.0.0", *(["::"] if ipv6 else [])]
    candidates = range(binding.first, binding.last + 1) if binding.first else [0] * _TRIES
    taken: OSError | None = None
    for port in candidates:
        try:
            return _reserve_all(binding, addresses, port)
        except OSError as error:
            taken = error
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                break
    shown = (
        f"{addresses[0]}:{binding.first}"
        if binding.first == binding.last
        else (f"{addresses[0]}:{binding.first}-{binding.last}")
    )
    if taken is not None and taken.errno in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT):
        raise Conflict(f"Bind for {shown} failed: the kernel has no {binding.protocol.upper()}: load its module")
    if taken is not None and taken.errno != errno.EADDRINUSE:
        raise Conflict(f"Bind for {shown} failed: {taken.strerror}")
    raise Conflict(f"Bind for {shown} failed: port is already allocated")


def _reserve_all(binding: PortBinding, addresses: list[str], port: int) -> list[Reservation]:
    reservations: list[Reservation] = []
    with ExitStack() as undo:
        for address in addresses:
            bound = _bind(binding.protocol, address, port)
            undo.callback(bound.close)
            port = port or bound.getsockname()[1]
            reservations.append(Reservation(PublishedPort(binding.port, binding.protocol, address, port), bound))
        undo.pop_all()
    return reservations


def _bind(protocol: str, address: str, port: int) -> socket.socket:
    kind, number = _PROTOCOLS[protocol]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, kind | socket.SOCK_CLOEXEC, number)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
        if kind == socket.SOCK_STREAM:
            bound.listen(_BACKLOG)
    except BaseException:
        bound.close()
        raise
    return bound
