"""Publishing: ports of the machine are reserved, and lead to containers.

The way is the packet filter's wherever it can be; the relay has the reserved sockets, and forwards what reaches them
all the same. Both go on while the engine is down.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from transom.errors import Conflict, Unavailable
from transom.networks.conntrack import forget_flows
from transom.networks.firewall import Firewall, Published
from transom.networks.model import Endpoint
from transom.networks.ports import PortBinding, PublishedPort, Reservation, reserve
from transom.networks.relays import Relays

__all__ = ["Publishing"]

log = logging.getLogger(__name__)

_ALL = ("0.0.0.0", "::")


class Publishing:
    """The published ports of one engine's containers, whose names `name_of` knows. The caller holds their locks."""

    def __init__(self, firewall: Firewall, relays: Relays, name_of: Callable[[str], str]) -> None:
        self._name_of = name_of
        self._firewall = firewall
        self._relays = relays
        self._lock = threading.Lock()
        #: By container: what is published, and what the packet filter has of it.
        self._published: dict[str, tuple[PublishedPort, ...]] = {}
        self._rules: dict[str, tuple[Published, ...]] = {}

    @contextmanager
    def reserved(self, bindings: Iterable[PortBinding], address: str = "") -> Iterator[list[Reservation]]:
        """Take ports of the machine for the length of a `with` block; `address` is for those that name none.

        Raises `Conflict` for one that is taken.
        """
        with ExitStack() as sockets:
            reservations: list[Reservation] = []
            for binding in bindings:
                wanted = binding if binding.address else replace(binding, address=address)
                found = self._reserve(wanted)
                for item in found:
                    sockets.callback(item.socket.close)
                reservations += found
            yield reservations

    def publish(self, container: str, reservations: Sequence[Reservation], endpoint: Endpoint) -> None:
        """Have ports that were taken lead to a container. Nothing is left if this raises."""
        with ExitStack() as undo:
            undo.callback(self.withdraw, container)
            published = tuple(item.published for item in reservations)
            with self._lock:
                self._published[container] = published
            self._lead(container, published, endpoint)
            for item in reservations:
                self._forward(container, item, endpoint)
            undo.pop_all()

    def restore(self, container: str, published: tuple[PublishedPort, ...], endpoint: Endpoint) -> None:
        """Take over what an earlier engine published; what was lost with its relay is reserved again."""
        with self._lock:
            self._published[container] = published
        self._lead(container, published, endpoint)
        if published and not self._relays.request("look", container=container, start=False).get("forwards"):
            for port in published:
                again = PortBinding(port.port, port.protocol, port.address, port.host_port, port.host_port)
                with ExitStack() as sockets:
                    for item in self._reserve(again):
                        sockets.callback(item.socket.close)
                        self._forward(container, item, endpoint)

    def recall(self, container: str, published: tuple[PublishedPort, ...], endpoint: Endpoint) -> None:
        """Know again what an earlier engine published, so that it can be withdrawn. Harmless if it is known."""
        with self._lock:
            if container not in self._published:
                self._published[container] = published
                self._rules[container] = _rules_of(published, endpoint)

    def withdraw(self, container: str) -> None:
        """Undo `publish`. Harmless if nothing is published."""
        with self._lock:
            published = self._published.pop(container, ())
            rules = self._rules.pop(container, ())
        with ExitStack() as undo:
            if published:
                undo.callback(self._relays.request, "unforward", container=container, start=False)
            undo.callback(_forget, rules)
            self._firewall.withdraw(rules)

    def _reserve(self, binding: PortBinding) -> list[Reservation]:
        try:
            return reserve(binding, ipv6=_has_ipv6())
        except Conflict as error:
            owner = self._owner(binding)
            raise Conflict(f"{error} by the container {self._name_of(owner)}" if owner else str(error)) from error

    def _owner(self, binding: PortBinding) -> str:
        """Return the container that has a port which a binding asks for, empty if none of ours has it."""
        with self._lock:
            for container, ports in self._published.items():
                for port in ports:
                    meets = not binding.address or port.address in _ALL or port.address == binding.address
                    if meets and port.protocol == binding.protocol and binding.first <= port.host_port <= binding.last:
                        return container
        return ""

    def _lead(self, container: str, published: Iterable[PublishedPort], endpoint: Endpoint) -> None:
        """Have the packet filter lead what it can to the container, unless its network's driver does."""
        rules = _rules_of(published, endpoint)
        with self._lock:
            self._rules[container] = rules
        try:
            self._firewall.publish(rules)
        except OSError as error:
            raise Unavailable(f"cannot publish the ports of the container {container[:12]}: {error}") from error

    def _forward(self, container: str, item: Reservation, endpoint: Endpoint) -> None:
        port = item.published
        target = endpoint.bare_address6 if ":" in port.address else endpoint.bare_address
        self._relays.request(
            "forward",
            item.socket.fileno(),
            container=container,
            protocol=port.protocol,
            target=target or endpoint.bare_address or endpoint.bare_address6,
            port=port.port,
        )


def _rules_of(published: Iterable[PublishedPort], endpoint: Endpoint) -> tuple[Published, ...]:
    """Return what the packet filter can lead to an endpoint: nothing where its network's driver does."""
    rules = []
    for port in published if not endpoint.ports else ():
        target = endpoint.bare_address6 if ":" in port.address else endpoint.bare_address
        if target:
            address = "" if port.address in _ALL else port.address
            rules.append(Published(port.protocol, address, port.host_port, target, port.port))
    return tuple(rules)


def _forget(rules: Iterable[Published]) -> None:
    """Have clients that go on sending find whoever has the port next, and not whoever has the address."""
    for address in {rule.target for rule in rules if rule.protocol == "udp"}:
        try:
            forget_flows(address, socket.IPPROTO_UDP)
        except OSError as error:
            log.warning("flows to %s are not forgotten: %s", address, error)


def _has_ipv6() -> bool:
    """Return whether the machine has IPv6."""
    try:
        return Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").read_text().strip() == "0"
    except OSError:
        return False
