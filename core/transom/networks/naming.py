"""Names of containers: each one on a network with names has a resolver at 127.0.0.11, whose sockets the relay has.

Port 53 there stays free for the container's own servers: a rule in its namespace leads what is sent to 127.0.0.11:53 to
the sockets' own ports. Where there is no nftables the sockets are bound to port 53.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from transom.errors import Unavailable
from transom.networks.model import Endpoint
from transom.networks.relays import Relays
from transom.networks.sandbox import inside
from transom.runtime.syscalls.nftables import Nftables

__all__ = ["RESOLVER", "Naming"]

#: Where containers ask for names.
RESOLVER = "127.0.0.11"
_PORT = 53
_RULES = """
table ip transom {{
    chain output {{
        type nat hook output priority -100;
        ip daddr {address} udp dport 53 dnat to {address}:{udp}
        ip daddr {address} tcp dport 53 dnat to {address}:{tcp}
    }}
}}
"""


class Naming:
    """The resolvers of one engine's containers."""

    def __init__(self, relays: Relays) -> None:
        self._relays = relays

    def open(self, container: str, path: str, servers: Sequence[str]) -> None:
        """Give a container a resolver, which asks `servers` for what is no container's name. Raises `Unavailable`."""
        try:
            udp, tcp = inside(path, _listen)
        except OSError as error:
            raise Unavailable(f"cannot listen for names in the container {container[:12]}: {error.strerror}") from error
        with udp, tcp:
            self._relays.request("resolve", udp.fileno(), tcp.fileno(), container=container, servers=list(servers))

    def place(self, container: str, endpoint: Endpoint, links: Mapping[str, str]) -> None:
        """Let the others on a network know a container; `links` are names that it knows others by, by alias."""
        self._relays.request(
            "place",
            container=container,
            network=endpoint.network,
            network_name=endpoint.network_name,
            names=list(endpoint.names),
            addresses=[address for address in (endpoint.bare_address, endpoint.bare_address6) if address],
            links=dict(links),
        )

    def leave(self, container: str, network: str) -> None:
        """Forget a container's names on a network."""
        self._relays.request("leave", container=container, network=network, start=False)

    def drop(self, container: str) -> None:
        """Forget a container, with its published ports. Harmless if it is not known."""
        self._relays.request("drop", container=container, start=False)

    def has_resolver(self, container: str) -> bool:
        """Return whether the relay has a container's resolver."""
        return bool(self._relays.request("look", container=container, start=False).get("resolver"))

    def retain(self, containers: set[str]) -> None:
        """Forget all but some containers: after a crash."""
        for container in self._relays.request("state", start=False).get("containers", ()):
            if container not in containers:
                self.drop(container)


def _listen() -> tuple[socket.socket, socket.socket]:
    """Return the UDP and the TCP socket of a resolver in the current network namespace, and lead questions there."""
    with ExitStack() as undo:
        try:
            nftables = Nftables()
        except OSError:
            nftables = None
        port = _PORT if nftables is None else 0
        udp = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC))
        udp.bind((RESOLVER, port))
        tcp = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC))
        tcp.bind((RESOLVER, port))
        tcp.listen()
        if nftables is not None:
            ports = {"udp": udp.getsockname()[1], "tcp": tcp.getsockname()[1]}
            nftables.run(f"add table ip transom\ndelete table ip transom\n{_RULES.format(address=RESOLVER, **ports)}")
            nftables.close()
        undo.pop_all()
    return udp, tcp
