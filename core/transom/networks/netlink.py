"""rtnetlink (rtnetlink(7)): links, addresses and routes of one network namespace.

Messages are built and read with pyroute2's classes, which are imported in the first use: that takes as long as starting
an interpreter. The socket is our own, so that several messages are one system call, and nothing runs an event loop.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Link", "Netlink", "Route", "load"]

_SOL_NETLINK = 270
_NETLINK_EXT_ACK = 11
_HEADER = struct.Struct("=IHHII")
_ERROR = 2
_DONE = 3
_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK = 16, 17, 18
_RTM_NEWADDR, _RTM_DELADDR, _RTM_GETADDR = 20, 21, 22
_RTM_NEWROUTE, _RTM_DELROUTE, _RTM_GETROUTE = 24, 25, 26
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_EXCL, _CREATE, _REPLACE = 0x200, 0x400, 0x100
_IFF_UP = 1
_TABLE_MAIN = 254
_PROTO_STATIC, _PROTO_KERNEL = 4, 2
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_TYPE_UNICAST = 1
#: IFA_F_NODAD: the address serves at once, since the engine gave it to nobody else.
_NO_DETECTION = 0x02
#: IN6_ADDR_GEN_MODE_NONE: no link-local address.
_NO_GENERATION = 1
_LONGEST = 64 << 10


@dataclass(frozen=True)
class Link:
    """An interface: `master` is the index of the bridge that it belongs to, 0 for none."""

    index: int
    name: str
    kind: str
    master: int
    mac: str
    mtu: int
    up: bool
    #: A text that stays with it: whose it is.
    alias: str = ""


@dataclass(frozen=True)
class Route:
    """A destination that is reached through an interface, or `via` a gateway; a default route has prefix length 0."""

    destination: ipaddress.IPv4Network | ipaddress.IPv6Network
    interface: int
    via: str = ""


def load() -> None:
    """Import what the first message needs."""
    from pyroute2.netlink.rtnl import ifaddrmsg, ifinfmsg, rtmsg  # noqa: F401


class Netlink:
    """A socket to the kernel's tables of the network namespace that the calling thread is in when it is made.

    Every method raises `OSError` with the kernel's reason. Safe to use from many threads.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._socket.bind((0, 0))
        self._lock = threading.Lock()
        self._number = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Links

    def add_bridge(self, name: str, *, mac: str, mtu: int) -> None:
        """Make a bridge."""
        attributes: list[tuple[str, Any]] = [
            ("IFLA_IFNAME", name),
            ("IFLA_ADDRESS", mac),
            _kind("bridge"),
        ]
        if mtu:
            attributes.append(("IFLA_MTU", mtu))
        self._send((_RTM_NEWLINK, _CREATE | _EXCL, _link(attributes)))

    def add_pair(self, name: str, *, master: int, namespace: int, peer: str, peer_mac: str, mtu: int) -> None:
        """Make a pair of interfaces: one here, up and in a bridge, the other in a namespace (a descriptor)."""
        inner: list[tuple[str, Any]] = [
            ("IFLA_IFNAME", peer),
            ("IFLA_ADDRESS", peer_mac),
            ("IFLA_NET_NS_FD", namespace),
        ]
        outer: list[tuple[str, Any]] = [
            ("IFLA_IFNAME", name),
            ("IFLA_MASTER", master),
        ]
        if mtu:
            inner.append(("IFLA_MTU", mtu))
            outer.append(("IFLA_MTU", mtu))
        outer.append(_kind("veth", [("VETH_INFO_PEER", {"attrs": inner})]))
        self._send((_RTM_NEWLINK, _CREATE | _EXCL, _link(outer, up=True)))

    def add_macvlan(self, name: str, *, parent: int, mode: str, namespace: int, mac: str, mtu: int) -> None:
        """Make an interface on top of another, in a namespace (a descriptor)."""
        attributes: list[tuple[str, Any]] = [
            ("IFLA_IFNAME", name),
            ("IFLA_ADDRESS", mac),
            ("IFLA_LINK", parent),
            ("IFLA_NET_NS_FD", namespace),
            _kind("macvlan", [("IFLA_MACVLAN_MODE", mode)]),
        ]
        if mtu:
            attributes.append(("IFLA_MTU", mtu))
        self._send((_RTM_NEWLINK, _CREATE | _EXCL, _link(attributes)))

    def add_dummy(self, name: str) -> None:
        """Make an interface that leads nowhere, and set it up."""
        self._send((_RTM_NEWLINK, _CREATE | _EXCL, _link([("IFLA_IFNAME", name), _kind("dummy")], up=True)))

    def add_vlan(self, name: str, *, parent: int, number: int, alias: str) -> None:
        """Make the interface of a VLAN on top of another, and set it up. Its alias says whose it is."""
        made = [("IFLA_IFNAME", name), ("IFLA_LINK", parent), _kind("vlan", [("IFLA_VLAN_ID", number)])]
        # An alias is for interfaces that are there; both messages are one system call, so nobody comes between them.
        self._send(
            (_RTM_NEWLINK, _CREATE | _EXCL, _link(made, up=True)),
            (_RTM_NEWLINK, 0, _link([("IFLA_IFNAME", name), ("IFLA_IFALIAS", alias)])),
        )

    def isolate_port(self, index: int) -> None:
        """Let a bridge's port reach no other port that is isolated."""
        port = [
            ("IFLA_INFO_SLAVE_KIND", "bridge"),
            ("IFLA_INFO_SLAVE_DATA", {"attrs": [("IFLA_BRPORT_ISOLATED", 1)]}),
        ]
        self._send((_RTM_NEWLINK, 0, _link([("IFLA_LINKINFO", {"attrs": port})], index=index)))

    def delete_link(self, name: str) -> bool:
        """Delete an interface, the other end of a pair with it; return whether there was one."""
        try:
            self._send((_RTM_DELLINK, 0, _link([("IFLA_IFNAME", name)])))
        except OSError as error:
            if error.errno == errno.ENODEV:
                return False
            raise
        return True

    def links(self) -> list[Link]:
        """Return all interfaces."""
        from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

        return [_as_link(message) for message in self._dump(_RTM_GETLINK, ifinfmsg)]

    def find_link(self, name: str) -> Link | None:
        """Return an interface by name, or None."""
        from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

        try:
            found = self._ask(_RTM_GETLINK, _link([("IFLA_IFNAME", name)]), ifinfmsg)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return _as_link(found)

    def set_up(self, index: int, *, link_local: bool = True) -> None:
        """Set an interface up, with or without an IPv6 link-local address."""
        self._send((_RTM_NEWLINK, 0, _link([] if link_local else [_no_link_local()], index=index, up=True)))

    # Addresses and routes

    def configure(self, index: int, addresses: list[str], *, link_local: bool, mac: str = "") -> None:
        """Set an interface up with addresses (`172.17.0.2/16`)."""
        attributes: list[tuple[str, Any]] = [] if link_local else [_no_link_local()]
        if mac:
            attributes.append(("IFLA_ADDRESS", mac))
        self._send(
            (_RTM_NEWLINK, 0, _link(attributes, index=index, up=True)),
            *((_RTM_NEWADDR, _CREATE | _REPLACE, _address(index, address)) for address in addresses),
        )

    def delete_address(self, index: int, address: str) -> None:
        """Take an address away from an interface."""
        self._send((_RTM_DELADDR, 0, _address(index, address)))

    def addresses(self, index: int = 0) -> list[str]:
        """Return the addresses, with their prefix lengths, of an interface or of all."""
        from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

        found = []
        for message in self._dump(_RTM_GETADDR, ifaddrmsg):
            if index in (0, message["index"]):
                local = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
                found.append(f"{local}/{message['prefixlen']}")
        return found

    def set_default_routes(self, index: int, gateways: list[str]) -> None:
        """Send what goes elsewhere to gateways, one of a family, through an interface."""
        self._send(*((_RTM_NEWROUTE, _CREATE | _REPLACE, _route(index, gateway)) for gateway in gateways))

    def delete_default_routes(self) -> None:
        """Forget where what goes elsewhere is sent."""
        for route in self.routes():
            if route.destination.prefixlen == 0 and route.via:
                try:
                    self._send((_RTM_DELROUTE, 0, _route(route.interface, route.via)))
                except OSError as error:
                    if error.errno != errno.ESRCH:
                        raise

    def routes(self) -> list[Route]:
        """Return the unicast routes of the main table."""
        from pyroute2.netlink.rtnl.rtmsg import rtmsg

        found = []
        requests = [rtmsg(), rtmsg()]
        requests[0]["family"], requests[1]["family"] = socket.AF_INET, socket.AF_INET6
        for message in [item for request in requests for item in self._dump(_RTM_GETROUTE, rtmsg, request)]:
            family = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}.get(message["family"])
            table = message.get_attr("RTA_TABLE") or message["table"]
            if family is None or message["type"] != _TYPE_UNICAST or table != _TABLE_MAIN:
                continue
            destination = f"{message.get_attr('RTA_DST') or family}/{message['dst_len']}"
            found.append(
                Route(
                    ipaddress.ip_network(destination, strict=False),
                    message.get_attr("RTA_OIF") or 0,
                    message.get_attr("RTA_GATEWAY") or "",
                )
            )
        return found

    # Messages

    def _send(self, *messages: tuple[int, int, Any]) -> None:
        """Send messages (type, flags, content) in one system call and wait for the kernel's word on each."""
        with self._lock:
            data = b"".join(self._encode(kind, flags | _REQUEST | _ACK, message) for kind, flags, message in messages)
            self._socket.send(data)
            first: OSError | None = None
            for _ in messages:
                error = self._acknowledgement()
                first = first or error
        if first is not None:
            raise first

    def _acknowledgement(self) -> OSError | None:
        data = self._socket.recv(_LONGEST)
        _, kind, flags, _, _ = _HEADER.unpack_from(data)
        if kind != _ERROR:
            raise OSError(errno.EPROTO, "rtnetlink: an answer that is no acknowledgement")
        return _as_error(data, flags)

    def _ask(self, kind: int, message: Any, shape: Any) -> Any:
        with self._lock:
            self._socket.send(self._encode(kind, _REQUEST, message))
            data = self._socket.recv(_LONGEST)
        _, answer, flags, _, _ = _HEADER.unpack_from(data)
        if answer == _ERROR:
            error = _as_error(data, flags)
            raise error or OSError(errno.EPROTO, "rtnetlink: no answer")
        return _decode(shape, data)

    def _dump(self, kind: int, shape: Any, request: Any = None) -> list[Any]:
        found: list[Any] = []
        with self._lock:
            self._socket.send(self._encode(kind, _REQUEST | _DUMP, shape() if request is None else request))
            while True:
                data = self._socket.recv(1 << 20)
                while data:
                    length, answer, flags, _, _ = _HEADER.unpack_from(data)
                    if answer == _DONE:
                        return found
                    if answer == _ERROR:
                        raise _as_error(data, flags) or OSError(errno.EPROTO, "rtnetlink: no answer")
                    found.append(_decode(shape, data[:length]))
                    data = data[(length + 3) & ~3 :]

    def _encode(self, kind: int, flags: int, message: Any) -> bytes:
        self._number += 1
        message["header"]["type"] = kind
        message["header"]["flags"] = flags
        message["header"]["sequence_number"] = self._number
        message.encode()
        return bytes(message.data)


def _decode(shape: Any, data: bytes) -> Any:
    message = shape(data)
    message.decode()
    return message


def _as_error(data: bytes, flags: int) -> OSError | None:
    """Return the error that an acknowledgement carries, with the kernel's own words where it gives any."""
    (number,) = struct.unpack_from("=i", data, _HEADER.size)
    if not number:
        return None
    words = _extended(data, flags)
    return OSError(-number, f"{os.strerror(-number)} ({words})" if words else os.strerror(-number))


def _extended(data: bytes, flags: int) -> str:
    # NLM_F_ACK_TLVS: attributes follow; without NLM_F_CAPPED the whole request stands before them (netlink(7)).
    if not flags & 0x200:
        return ""
    (length,) = struct.unpack_from("=I", data, _HEADER.size + 4)
    offset = _HEADER.size + 4 + (_HEADER.size if flags & 0x100 else (length + 3) & ~3)
    while offset + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, offset)
        if size < 4:
            return ""
        if kind == 1:
            return data[offset + 4 : offset + size].rstrip(b"\0").decode(errors="replace")
        offset += (size + 3) & ~3
    return ""


def _link(attributes: list[tuple[str, Any]], *, index: int = 0, up: bool = False) -> Any:
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    message = ifinfmsg()
    message["index"] = index
    if up:
        message["flags"] = message["change"] = _IFF_UP
    message["attrs"] = attributes
    return message


def _address(index: int, address: str) -> Any:
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

    parsed = ipaddress.ip_interface(address)
    message = ifaddrmsg()
    message["index"] = index
    message["prefixlen"] = parsed.network.prefixlen
    message["family"] = socket.AF_INET if parsed.version == 4 else socket.AF_INET6
    message["attrs"] = [("IFA_LOCAL", str(parsed.ip)), ("IFA_ADDRESS", str(parsed.ip))]
    if parsed.version == 4:
        message["attrs"].append(("IFA_BROADCAST", str(parsed.network.broadcast_address)))
    else:
        message["attrs"].append(("IFA_FLAGS", _NO_DETECTION))
    return message


def _route(index: int, gateway: str) -> Any:
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    message = rtmsg()
    message["family"] = socket.AF_INET if ipaddress.ip_address(gateway).version == 4 else socket.AF_INET6
    message["table"] = _TABLE_MAIN
    message["proto"] = _PROTO_STATIC
    message["scope"] = _SCOPE_UNIVERSE
    message["type"] = _TYPE_UNICAST
    message["attrs"] = [("RTA_GATEWAY", gateway), ("RTA_OIF", index)]
    return message


def _kind(name: str, data: list[tuple[str, Any]] | None = None) -> tuple[str, Any]:
    attributes: list[tuple[str, Any]] = [("IFLA_INFO_KIND", name)]
    if data is not None:
        attributes.append(("IFLA_INFO_DATA", {"attrs": data}))
    return "IFLA_LINKINFO", {"attrs": attributes}


def _no_link_local() -> tuple[str, Any]:
    families = [("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _NO_GENERATION)]})]
    return "IFLA_AF_SPEC", {"attrs": families}


def _as_link(message: Any) -> Link:
    info: Mapping[str, Any] | None = message.get_attr("IFLA_LINKINFO")
    return Link(
        message["index"],
        message.get_attr("IFLA_IFNAME"),
        (info.get_attr("IFLA_INFO_KIND") if info else "") or "",  # type: ignore[attr-defined]
        message.get_attr("IFLA_MASTER") or 0,
        message.get_attr("IFLA_ADDRESS") or "",
        message.get_attr("IFLA_MTU") or 0,
        bool(message["flags"] & _IFF_UP),
        message.get_attr("IFLA_IFALIAS") or "",
    )
