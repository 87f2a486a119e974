"""The networks that there are: in memory for reading, in GraphDB for lasting, made by network drivers.

A network is recorded before its driver makes it and forgotten after its driver removed it; what is recorded and not
*ready* when the engine starts was interrupted on one of the two ways, and is removed.

    node `network`, named by its ID, root        edges `connects` from the containers that are on it
"""

from __future__ import annotations

import builtins
import logging
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from transom import records
from transom.catalog import Shelf
from transom.drivers.network import Addressing, NetworkDriver
from transom.errors import Conflict, DriverUnavailable, Forbidden, InvalidParameter, NotFound
from transom.graph.db import GraphDB
from transom.graph.locks import Locks
from transom.networks.firewall import Firewall
from transom.networks.ipam import Leases
from transom.networks.model import Network, Pool
from transom.networks.netlink import Netlink
from transom.networks.pools import Subnet, check_overlap, check_pool, choose_pool, parse_default_pools, subnet_of

__all__ = ["PREDEFINED", "DefaultBridge", "NetworkStore"]

log = logging.getLogger(__name__)

_KIND = "network"
#: The networks that are always there, where their drivers are.
PREDEFINED = ("bridge", "host", "none")
#: The driver of networks that are only configurations.
_CARRIES_NOTHING = "none"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")
_LONGEST_NAME = 240


@dataclass(frozen=True)
class DefaultBridge:
    """How the network `bridge` is set up, and the pools that subnets are chosen from: the daemon's configuration."""

    pools: tuple[Pool, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    ipv6: bool = False
    default_pools: tuple[str, ...] = ()


class NetworkStore:
    """All networks of all drivers. Everything here is safe to call from many threads."""

    def __init__(
        self, db: GraphDB, shelf: Shelf[NetworkDriver], firewall: Firewall, bridge: DefaultBridge, engine: Path
    ) -> None:
        self._db = db
        self._shelf = shelf
        self._firewall = firewall
        self._bridge = bridge
        self._engine = engine
        self._pools = parse_default_pools(bridge.default_pools)
        self.leases = Leases(db)
        self._guard = threading.RLock()
        #: Held while subnets are chosen and recorded, so that no two networks get the same.
        self._choosing = threading.Lock()
        self._locks = Locks()
        self._drivers: dict[str, NetworkDriver] = {}
        #: Networks whose driver was told of them by this engine.
        self._made: set[str] = set()
        self._networks = {node.name: records.load(Network, node.data) for node in db.list(_KIND)}
        for name in PREDEFINED:
            if name in shelf.names():
                self._predefine(name)

    # What there is

    def list(self) -> builtins.list[Network]:
        """Return the networks, sorted by name."""
        with self._guard:
            found = [network for network in self._networks.values() if network.ready]
        return sorted(found, key=lambda network: (network.name, network.created))

    def get(self, name: str) -> Network:
        """Return a network by ID, name, or unique beginning of the ID. Raises `NotFound`, `InvalidParameter`."""
        with self._guard:
            exact = self._networks.get(name)
            if exact is not None and exact.ready:
                return exact
            found = [network for network in self._networks.values() if network.ready and network.name == name]
            if not found and name:
                found = [
                    network for network in self._networks.values() if network.ready and network.id.startswith(name)
                ]
        if len(found) > 1:
            raise InvalidParameter(f"network {name} is ambiguous ({len(found)} matches found on ID prefix)")
        if not found:
            raise NotFound(f"network {name} not found")
        return found[0]

    def driver(self, name: str) -> NetworkDriver:
        """Return a driver. Raises `NotFound`, `DriverUnavailable`."""
        with self._guard:
            driver = self._drivers.get(name)
            if driver is None:
                kind = self._shelf.get(name)
                driver = self._drivers[name] = kind(self._shelf.root(name), self._firewall)
        return driver

    def kind(self, name: str) -> type[NetworkDriver]:
        """Return a driver's class. Raises `NotFound`, `DriverUnavailable`."""
        return self._shelf.get(name)

    @contextmanager
    def locked(self, network: Network) -> Iterator[Network]:
        """Hold a network's lock: connecting to it and removing it exclude each other. Raises `NotFound`."""
        with self._locks.hold(network.id):
            yield self.get(network.id)

    # Making and removing

    def create(self, asked: Network) -> Network:
        """Make a network of what was asked for and return it, complete.

        Raises `Conflict` for a name in use, `InvalidParameter` for what cannot be, `Forbidden` for subnets that overlap
        and for pre-defined names, `NotFound` and `DriverUnavailable` for the driver.
        """
        _check_name(asked.name)
        if asked.name in PREDEFINED:
            raise Forbidden(f"operation is not permitted on predefined {asked.name} network")
        asked = self._configured(asked)
        if asked.config_only:
            return self._create_configuration(asked)
        kind = self.kind(asked.driver)
        if kind.single:
            raise Forbidden(f'only one instance of "{asked.driver}" network is allowed')
        network = replace(asked, id=secrets.token_hex(32), created=time.time_ns())
        if "bridge" in self._shelf.names():
            # It has the first of the default subnets, whenever it is used first.
            self.complete("bridge")
        with self._choosing:
            self._check_free(asked.name)
            network = self._with_pools(network, kind)
            self.driver(network.driver).check(network)
            self._record(network)
        try:
            self._make(network)
        except BaseException:
            self._forget(network)
            raise
        return self._publish(network)

    def _create_configuration(self, asked: Network) -> Network:
        """Record a network that is only a configuration."""
        if asked.internal or asked.attachable:
            raise Forbidden(
                "configuration network can only contain network specific fields. Network operator fields like"
                " [ ingress | internal | attachable | scope ] are not supported."
            )
        for pool in asked.pools:
            check_pool(pool)
        network = replace(asked, id=secrets.token_hex(32), created=time.time_ns(), driver=_CARRIES_NOTHING)
        with self._choosing:
            self._check_free(asked.name)
            return self._publish(network)

    def _configured(self, asked: Network) -> Network:
        """Return a network complete with the configuration that it is to be made of."""
        if not asked.config_from:
            return asked
        if asked.config_only:
            raise Forbidden("a configuration network cannot depend on another configuration network")
        if asked.pools or asked.options or asked.ipv6:
            raise Forbidden(
                "user specified configurations are not supported if the network depends on a configuration network"
            )
        source = next(
            (network for network in self.list() if network.config_only and network.name == asked.config_from), None
        )
        if source is None:
            raise NotFound(f'configuration network "{asked.config_from}" does not exist')
        return replace(
            asked,
            pools=source.pools,
            options=source.options,
            labels={**source.labels, **asked.labels},
            ipv6=source.ipv6,
        )

    def _check_free(self, name: str) -> None:
        with self._guard:
            if any(network.name == name for network in self._networks.values()):
                raise Conflict(f"network with name {name} already exists")

    def _with_pools(self, network: Network, kind: type[NetworkDriver]) -> Network:
        """Return a network with a subnet of each family that it has, checked or chosen."""
        if kind.addressing is not Addressing.CORE:
            if network.pools:
                raise InvalidParameter(f"the network driver {network.driver} gives addresses itself: give no --subnet")
            return network
        pools = [check_pool(pool) for pool in network.pools]
        used = self._subnets()
        for index, pool in enumerate(pools):
            check_overlap(subnet_of(pool), used)
            check_overlap(subnet_of(pool), [(subnet_of(other), network.name) for other in pools[:index]])
        versions = {subnet_of(pool).version for pool in pools}
        if not network.ipv4 and not network.ipv6:
            raise InvalidParameter("IPv4 or IPv6 must be enabled")
        if 6 in versions and not network.ipv6:
            raise InvalidParameter("an IPv6 subnet was given for a network without IPv6: give --ipv6 too")
        if 4 in versions and not network.ipv4:
            raise InvalidParameter("an IPv4 subnet was given for a network without IPv4")
        for version, wanted in ((4, network.ipv4), (6, network.ipv6)):
            if wanted and version not in versions:
                taken = [subnet for subnet, _ in used] + _routes()
                pools.append(choose_pool(self._pools, taken, version, str(self._engine)))
        return replace(network, pools=tuple(pools))

    def _subnets(self) -> builtins.list[tuple[Subnet, str]]:
        with self._guard:
            return [
                (subnet_of(pool), other.name)
                for other in self._networks.values()
                if not other.config_only
                for pool in other.pools
            ]

    def remove(self, name: str, in_use: Callable[[Network], str]) -> Network:
        """Delete a network and return what it was. `in_use` says who is on it, empty for nobody.

        Raises `NotFound`, `Forbidden` for a pre-defined network and for one in use.
        """
        found = self.get(name)
        if found.builtin:
            raise Forbidden(f"{found.name} is a pre-defined network and cannot be removed")
        with self.locked(found) as network, self._db.freeing():
            if any(other.config_from == network.name for other in self.list() if network.config_only):
                raise Forbidden(f'error while removing network: configuration network "{network.name}" is in use')
            users = in_use(network)
            if users:
                raise Forbidden(f"error while removing network: network {network.name} has active endpoints ({users})")
            self._record(replace(network, ready=False))
            try:
                self.driver(network.driver).remove(network)
            except BaseException:
                self._publish(network)
                raise
            self._forget(network)
            return network

    def ensure(self, network: Network) -> NetworkDriver:
        """Return a network's driver, which was told of it by this engine."""
        driver = self.driver(network.driver)
        if network.id not in self._made:
            with self._locks.hold(f"make {network.id}"):
                if network.id not in self._made:
                    self._make(self._complete(network))
        return driver

    # The engine's start and end

    def recover(self) -> None:
        """Remove what was being made or removed when the last engine ended."""
        for network in [network for network in self._networks.values() if not network.ready]:
            try:
                self.driver(network.driver).remove(network)
            except Exception:
                # A plugin that is not there now may be at the next start.
                log.exception("the network %s stays half removed", network.name)
                continue
            self._forget(network)

    def resume(self, places: Callable[[Network], object]) -> None:
        """Tell the drivers of the networks, as an engine does that has just started.

        `places` gives what containers have on a network: a pre-defined one that nobody used is left alone.
        """
        for network in self.list():
            if places(network) or not network.builtin or self._is_there(network):
                try:
                    self.ensure(network)
                except Exception as error:  # noqa: BLE001 a driver of anybody's must not stop the others
                    log.warning("the network %s cannot be used: %s", network.name, error)
        self._firewall.settle()

    def leave(self) -> None:
        """Take away what carries the networks, which stay recorded: no container is on any, and the engine ends."""
        for identity in tuple(self._made):
            network = self._networks.get(identity)
            if network is not None:
                try:
                    self.driver(network.driver).remove(network)
                except Exception as error:  # noqa: BLE001 as above
                    log.warning("what carries the network %s stays: %s", network.name, error)
        self._made.clear()

    def close(self) -> None:
        """Let the drivers finish."""
        for driver in self._drivers.values():
            try:
                driver.close()
            except Exception:
                log.exception("the network driver %s could not finish", driver.name)

    # Within

    def _predefine(self, name: str) -> None:
        known = next((network for network in self._networks.values() if network.builtin and network.name == name), None)
        network = known or Network(secrets.token_hex(32), name, name, time.time_ns(), builtin=True, ready=True)
        if name == "bridge":
            network = replace(
                network,
                options=self._bridge.options,
                ipv6=self._bridge.ipv6,
                pools=self._bridge_pools(network),
            )
        elif known is not None:
            return
        if network != known:
            self._record(network)

    def _bridge_pools(self, network: Network) -> tuple[Pool, ...]:
        """Return the default bridge's subnets: the configured ones, or those that were chosen before."""
        configured = tuple(check_pool(pool) for pool in self._bridge.pools)
        versions = {subnet_of(pool).version for pool in configured}
        kept = [pool for pool in network.pools if pool.chosen and subnet_of(pool).version not in versions]
        return (*configured, *(pool for pool in kept if self._bridge.ipv6 or subnet_of(pool).version == 4))

    def _complete(self, network: Network) -> Network:
        """Return the default bridge with its subnets, which are chosen when they are first needed."""
        current = self._networks.get(network.id, network)
        if not current.builtin or self.kind(current.driver).addressing is not Addressing.CORE:
            return current
        versions = {subnet_of(pool).version for pool in current.pools}
        if versions >= ({4, 6} if current.ipv6 else {4}):
            return current
        with self._choosing:
            taken = [subnet for subnet, _ in self._subnets()] + _routes()
            missing = sorted(({4, 6} if current.ipv6 else {4}) - versions)
            chosen = [choose_pool(self._pools, taken, version, str(self._engine)) for version in missing]
            current = replace(current, pools=(*current.pools, *chosen))
            self._record(current)
        return current

    def _is_there(self, network: Network) -> bool:
        """Return whether an earlier engine left what carries a network."""
        try:
            name = self.driver(network.driver).interface_of(network)
            return bool(name) and bool(socket.if_nametoindex(name))
        except Exception:  # noqa: BLE001 as above
            return False

    def complete(self, name: str) -> Network:
        """Return a network with its subnets. Raises as `get` does."""
        network = self.get(name)
        try:
            return self._complete(network)
        except DriverUnavailable:
            return network

    def _make(self, network: Network) -> None:
        self.driver(network.driver).create(network)
        self._made.add(network.id)

    def _publish(self, network: Network) -> Network:
        ready = replace(network, ready=True)
        self._record(ready)
        return ready

    def _record(self, network: Network) -> None:
        with self._guard:
            self._db.put(_KIND, network.id, records.dump(network), root=True)
            self._networks[network.id] = network

    def _forget(self, network: Network) -> None:
        with self._guard:
            self._made.discard(network.id)
            self._db.remove(_KIND, network.id)
            self._networks.pop(network.id, None)
            self.leases.forget(network.id)


def _routes() -> builtins.list[Subnet]:
    """Return where the machine sends packets to already."""
    with Netlink() as netlink:
        return [route.destination for route in netlink.routes() if route.destination.prefixlen]


def _check_name(name: str) -> None:
    if not name.strip():
        raise InvalidParameter("invalid network name: name is empty")
    if len(name) > _LONGEST_NAME or not _NAME.match(name):
        raise InvalidParameter(
            f'invalid network name: "{name}" includes invalid characters, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed'
        )
