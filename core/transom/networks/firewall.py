"""The engine's own table of nftables rules. What others have in theirs is left alone.

The rules are the same for any number of networks and containers, which are elements of sets and maps: a container adds
an element per published port, and a packet is looked up once. All changes are transactions. What containers send to a
published port is not led on here but reaches the relay, which can answer the sender itself.

`networks` and published ports are known here in memory; the engine names them again after a restart, and until it calls
`settle` nothing is changed, so that what an earlier engine set goes on working. Where the library or the kernel's part
is not there, `missing` says so and nothing is done: then the machine does not forward for networks either.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from transom.errors import Unavailable
from transom.runtime.syscalls.nftables import Nftables

__all__ = ["Allowed", "Firewall", "Published", "Routed"]

log = logging.getLogger(__name__)

_SETS = """
    set bridges { type ifname; }
    set same { type ifname . ifname; }
    set internal { type ifname; }
    set masquerade4 { type ipv4_addr; flags interval; }
    set masquerade6 { type ipv6_addr; flags interval; }
    set links { type ipv4_addr . ipv4_addr . inet_proto . inet_service; }
    map bound4 { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }
    map bound6 { type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }
    map any4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
    map any6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
"""
#: Just before the priorities of iptables' chains, so that its rules see addresses as they are in the end.
_CHAINS = """
    chain raw {
        type filter hook prerouting priority raw;
        ip daddr 127.0.0.0/8 iifname @bridges drop
    }
    chain prerouting {
        type nat hook prerouting priority dstnat - 5;
        iifname @bridges return
        fib daddr type local jump published
    }
    chain output {
        type nat hook output priority -105;
        fib daddr type local jump published
    }
    chain published {
        meta l4proto { tcp, udp, sctp } dnat ip to meta l4proto . ip daddr . th dport map @bound4
        meta l4proto { tcp, udp, sctp } dnat ip to meta l4proto . th dport map @any4
        ip6 daddr ::1 return
        meta l4proto { tcp, udp, sctp } dnat ip6 to meta l4proto . ip6 daddr . th dport map @bound6
        meta l4proto { tcp, udp, sctp } dnat ip6 to meta l4proto . th dport map @any6
    }
    chain postrouting {
        type nat hook postrouting priority srcnat + 5;
        ip saddr @masquerade4 oifname != @bridges masquerade
        ip6 saddr @masquerade6 oifname != @bridges masquerade
        oifname @bridges ip saddr 127.0.0.0/8 masquerade
    }
    chain forward {
        type filter hook forward priority filter - 5;
        ct state established,related accept
        iifname . oifname @same accept
        ip saddr . ip daddr . meta l4proto . th dport @links accept
        iifname @internal drop
        oifname @internal drop
        oifname @bridges ct status dnat accept
        oifname @bridges drop
    }
"""


@dataclass(frozen=True)
class Routed:
    """A network that the machine routes for: its interface, and the subnets whose traffic outwards is masqueraded."""

    interface: str
    masquerade: tuple[str, ...] = ()
    internal: bool = False
    #: Whether its containers are kept apart, but for links.
    apart: bool = False

    def elements(self) -> list[tuple[str, str]]:
        """Return what it has in sets: (set, element)."""
        name = f'"{self.interface}"'
        found = [("bridges", name)]
        if not self.apart:
            found.append(("same", f"{name} . {name}"))
        if self.internal:
            found.append(("internal", name))
        found += [("masquerade6" if ":" in subnet else "masquerade4", subnet) for subnet in self.masquerade]
        return found


@dataclass(frozen=True)
class Published:
    """A port of the machine, on one address or (empty) on all of a family, that leads to a container's."""

    protocol: str
    address: str
    port: int
    target: str
    target_port: int

    @property
    def _family(self) -> str:
        return "6" if ":" in self.target else "4"

    @property
    def map(self) -> str:
        """The map that it is in."""
        return f"{'bound' if self.address else 'any'}{self._family}"

    @property
    def key(self) -> str:
        """Its key there."""
        return " . ".join(part for part in (self.protocol, self.address, str(self.port)) if part)

    @property
    def value(self) -> str:
        """What the key leads to."""
        return f"{self.target} . {self.target_port}"


@dataclass(frozen=True)
class Allowed:
    """A port that one container may reach of another, on a network whose containers are kept apart."""

    source: str
    target: str
    protocol: str
    port: int

    @property
    def element(self) -> str:
        """The element of the set `links`."""
        return f"{self.source} . {self.target} . {self.protocol} . {self.port}"


class Firewall:
    """One table, by name. Safe to use from many threads."""

    def __init__(self, table: str) -> None:
        self._table = f"inet {table}"
        self._lock = threading.Lock()
        self._nftables: Nftables | None = None
        self._reason = ""
        self._settled = False
        self._built = False
        self._networks: dict[str, Routed] = {}
        self._published: set[Published] = set()
        self._allowed: set[Allowed] = set()

    @property
    def missing(self) -> str:
        """Why there can be no rules on this machine; empty where there can."""
        with self._lock:
            self._connect()
            return self._reason

    def settle(self) -> None:
        """Set the rules for all that was named so far, in the place of an earlier engine's."""
        with self._lock:
            self._settled = True
            self._apply([])

    def add_network(self, network: Routed) -> None:
        """Let a network out, and keep others off it. Naming it again is harmless."""
        with self._lock:
            before = self._networks.get(network.interface)
            if before != network:
                self._networks[network.interface] = network
                self._apply([*self._deletions(before), *self._additions(network)])

    def remove_network(self, interface: str) -> None:
        """Forget a network. The table goes with the last one."""
        with self._lock:
            before = self._networks.pop(interface, None)
            if before is not None:
                self._apply(self._deletions(before))

    def publish(self, ports: Iterable[Published]) -> None:
        """Lead ports of the machine to containers."""
        with self._lock:
            new = set(ports) - self._published
            self._published |= new
            self._apply([f"add element {self._table} {port.map} {{ {port.key} : {port.value} }}" for port in new])

    def withdraw(self, ports: Iterable[Published]) -> None:
        """Undo `publish`. Harmless for ports that lead nowhere."""
        with self._lock:
            old = set(ports) & self._published
            self._published -= old
            self._apply([f"delete element {self._table} {port.map} {{ {port.key} }}" for port in old])

    def allow(self, ports: Iterable[Allowed]) -> None:
        """Let containers reach ports of others that are kept apart from them otherwise."""
        with self._lock:
            new = set(ports) - self._allowed
            self._allowed |= new
            self._apply([f"add element {self._table} links {{ {port.element} }}" for port in new])

    def deny(self, ports: Iterable[Allowed]) -> None:
        """Undo `allow`. Harmless for what is not allowed."""
        with self._lock:
            old = set(ports) & self._allowed
            self._allowed -= old
            self._apply([f"delete element {self._table} links {{ {port.element} }}" for port in old])

    # Commands

    def _additions(self, network: Routed) -> list[str]:
        return [f"add element {self._table} {name} {{ {element} }}" for name, element in network.elements()]

    def _deletions(self, network: Routed | None) -> list[str]:
        elements = [] if network is None else network.elements()
        return [f"delete element {self._table} {name} {{ {element} }}" for name, element in elements]

    def _apply(self, changes: list[str]) -> None:
        """Bring the kernel's table to what is known here, by the changes alone where that is enough."""
        if not self._settled:
            return
        if not self._networks and not self._published:
            self._forget()
        elif not self._built:
            self._build()
        elif changes and self._nftables is not None:
            try:
                self._nftables.run("\n".join(changes))
            except OSError as error:
                # Somebody has flushed all rules, ours too.
                log.warning("the firewall's table is not as it was left (%s): it is made again", error)
                self._build()

    def _build(self) -> None:
        nftables = self._connect()
        if nftables is None:
            return
        elements = [line for network in self._networks.values() for line in self._additions(network)]
        elements += [
            f"add element {self._table} {port.map} {{ {port.key} : {port.value} }}" for port in self._published
        ]
        elements += [f"add element {self._table} links {{ {port.element} }}" for port in self._allowed]
        lines = [
            f"add table {self._table}",
            f"delete table {self._table}",
            f"table {self._table} {{{_SETS}{_CHAINS}}}",
            *elements,
        ]
        try:
            nftables.run("\n".join(lines))
        except OSError as error:
            raise Unavailable(f"cannot set the firewall's rules: {error.strerror}") from error
        self._built = True

    def _forget(self) -> None:
        self._built = False
        if self._nftables is not None:
            self._nftables.run(f"add table {self._table}\ndelete table {self._table}")

    def _connect(self) -> Nftables | None:
        if self._nftables is None and not self._reason:
            try:
                nftables = Nftables()
                # Changes nothing, and fails where the kernel has no part in this.
                nftables.run("list tables")
                self._nftables = nftables
            except OSError as error:
                self._reason = f"nftables cannot be used ({error.strerror or error}): install libnftables1"
        return self._nftables
