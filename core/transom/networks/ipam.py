"""Addresses: each of a network's is given to one container at a time, and recorded in GraphDB as long as it has it."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from transom.errors import Conflict, Forbidden, InvalidParameter
from transom.graph.db import GraphDB
from transom.networks.model import Network, Pool
from transom.networks.pools import Address, Subnet, subnet_of

__all__ = ["Leases"]

_KIND = "address"


@dataclass
class _Network:
    """What is given away of one network: container by address, and where the next search begins, by subnet."""

    taken: dict[str, str] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)


class Leases:
    """The addresses that containers have. A lease is a node `address` named `<network>/<address>`."""

    def __init__(self, db: GraphDB) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._networks: dict[str, _Network] = {}
        for node in db.list(_KIND):
            network, _, address = node.name.partition("/")
            self._of(network).taken[address] = node.data

    def give(self, network: Network, container: str, version: int, wanted: str = "") -> tuple[str, str]:
        """Give an address of a family (4 or 6) to a container; return it with its prefix length, and the gateway.

        Both are empty where the network has no subnet of the family. Raises `InvalidParameter` for a wanted address
        that is in no subnet, `Forbidden` for one that is in use, `Conflict` where no address is left.
        """
        pools = [pool for pool in network.pools if subnet_of(pool).version == version]
        if wanted:
            pool = self._pool_of(network, pools, wanted)
            address = self._take(network, pool, container, wanted)
        elif pools:
            pool, address = self._take_next(network, pools, container)
        else:
            return "", ""
        return f"{address}/{subnet_of(pool).prefixlen}", "" if network.internal else pool.gateway

    def release(self, network: str, addresses: Iterable[str]) -> None:
        """Take addresses back. Harmless if they were not given."""
        with self._lock, self._db.transaction():
            taken = self._of(network).taken
            for address in addresses:
                if taken.pop(address, None) is not None:
                    self._db.remove(_KIND, f"{network}/{address}")

    def retain(self, used: set[tuple[str, str]]) -> None:
        """Take back every address but those that are used, (network, address): after a crash."""
        for identity, network in list(self._networks.items()):
            self.release(identity, [address for address in network.taken if (identity, address) not in used])

    def forget(self, network: str) -> None:
        """Forget a network that is removed."""
        with self._lock:
            self._networks.pop(network, None)

    def _of(self, network: str) -> _Network:
        return self._networks.setdefault(network, _Network())

    def _pool_of(self, network: Network, pools: list[Pool], wanted: str) -> Pool:
        address = parse_address(wanted)
        for pool in pools:
            if address in subnet_of(pool):
                return pool
        raise InvalidParameter(f"no configured subnet of the network {network.name} contains IP address {wanted}")

    def _take(self, network: Network, pool: Pool, container: str, wanted: str) -> Address:
        address = parse_address(wanted)
        if str(address) in _kept(pool) or address in _ends(subnet_of(pool)):
            raise Forbidden(f"the address {wanted} of the network {network.name} is not for containers")
        with self._lock:
            owner = self._of(network.id).taken.get(str(address))
            if owner is not None:
                raise Forbidden(
                    f"Address already in use: {wanted} of the network {network.name} is that of the container"
                    f" {owner[:12]}"
                )
            self._record(network, str(address), container)
        return address

    def _take_next(self, network: Network, pools: list[Pool], container: str) -> tuple[Pool, Address]:
        with self._lock:
            state = self._of(network.id)
            for pool in pools:
                found = _next_free(pool, state)
                if found is not None:
                    self._record(network, str(found), container)
                    state.after[pool.subnet] = int(found)
                    return pool, found
        raise Conflict(
            f"no available IPv{subnet_of(pools[0]).version} addresses on this network's address pools: {network.name}"
            f" ({network.id[:12]})"
        )

    def _record(self, network: Network, address: str, container: str) -> None:
        self._db.put(_KIND, f"{network.id}/{address}", container, root=True)
        self._of(network.id).taken[address] = container


def parse_address(text: str) -> Address:
    """Return an address. Raises `InvalidParameter`."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise InvalidParameter(f"invalid IP address: {text}") from None


def _kept(pool: Pool) -> set[str]:
    return {pool.gateway, *pool.reserved.values()}


def _ends(subnet: Subnet) -> tuple[Address, ...]:
    """Return the addresses of a subnet that are no host's."""
    if subnet.version == 6:
        return (subnet.network_address,)
    return (subnet.network_address, subnet.broadcast_address)


def _next_free(pool: Pool, state: _Network) -> Address | None:
    """Return the next free address after the last one that was given, so that one is not soon given again."""
    subnet = subnet_of(pool)
    inner = ipaddress.ip_network(pool.ip_range or pool.subnet)
    kept, ends = _kept(pool), _ends(subnet)
    size = inner.num_addresses
    first = int(inner.network_address)
    start = state.after.get(pool.subnet, first - 1) + 1
    # Each address that is not free is known: more steps than those are never needed.
    for step in range(min(size, len(state.taken) + len(kept) + len(ends) + 1)):
        address = ipaddress.ip_address(first + (start + step - first) % size)
        if address.version != subnet.version:
            address = ipaddress.IPv6Address(int(address))
        if str(address) not in state.taken and str(address) not in kept and address not in ends:
            return address
    return None
