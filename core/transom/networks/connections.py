"""Containers' places on networks, while the containers run: made before their processes, taken away after them.

What is made is recorded in the shim's directory (`network.json`) before it is made, so that whoever finds the directory
after a crash can take it away: addresses, interfaces, the namespace. A running container's record in the database is
what counts: what the file has beyond that was being made or taken away when an engine was killed, and goes.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import secrets
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from transom import records
from transom.drivers.blame import expect
from transom.drivers.network import Addressing, NetworkDriver
from transom.errors import Conflict, InvalidParameter, NotFound, TransomError
from transom.events import Events
from transom.networks.model import Endpoint, EndpointSettings, Network, Sandbox, SandboxKind
from transom.networks.netlink import Netlink
from transom.networks.options import interface_name, interface_sysctls
from transom.networks.ports import PublishedPort
from transom.networks.sandbox import Namespaces, inside
from transom.networks.store import NetworkStore
from transom.runtime.shim import publish

if TYPE_CHECKING:
    from transom.containers.model import Container

__all__ = ["Connections", "default_routes", "order_of"]

log = logging.getLogger(__name__)

_RECORD = "network.json"


class Connections:
    """All endpoints of one engine's running containers. The caller holds the container's lock.

    `shims` has their shims' directories.
    """

    def __init__(self, networks: NetworkStore, namespaces: Namespaces, events: Events, shims: Path) -> None:
        self._networks = networks
        self._namespaces = namespaces
        self._events = events
        self._shims = shims
        self._lock = threading.Lock()
        #: By container, by the network's name.
        self._endpoints: dict[str, dict[str, Endpoint]] = {}

    def on(self, network: Network) -> dict[str, Endpoint]:
        """Return the endpoints on a network, by container."""
        with self._lock:
            return {
                container: endpoint
                for container, endpoints in self._endpoints.items()
                for endpoint in endpoints.values()
                if endpoint.network == network.id
            }

    def of(self, container: str) -> dict[str, Endpoint]:
        """Return the endpoints of a container, also of one that is being started, by the networks' names."""
        with self._lock:
            return dict(self._endpoints.get(container, {}))

    def path(self, container: str) -> str:
        """Return the path of a running container's namespace, empty if the engine did not make one."""
        path = self._namespaces.path(container)
        return str(path) if path.exists() else ""

    # With the container's process

    def open(
        self,
        container: str,
        wanted: Mapping[str, EndpointSettings],
        names: Mapping[str, tuple[str, ...]],
        ports: Mapping[str, tuple[PublishedPort, ...]],
    ) -> tuple[str, Mapping[str, Endpoint]] | None:
        """Make a container's namespace and connect it to the networks that it wants; return its path and the endpoints.

        `names` are those by which others know it, `ports` those that drivers publish, by network. The path is empty
        where the exec driver is to make the namespace; None is returned where the container has the machine's. Nothing
        is left if this raises.
        """
        networks = [(self._networks.get(settings.network or name), settings) for name, settings in wanted.items()]
        kinds = {self._networks.kind(network.driver).sandbox for network, _ in networks}
        if SandboxKind.HOST in kinds:
            return None
        if kinds == {SandboxKind.ISOLATED}:
            return "", {}
        with ExitStack() as undo:
            undo.callback(self.close, container, quiet=True)
            for network, settings in networks:
                planned = self._plan(container, network, settings, names.get(network.name, ()))
                self._set(container, replace(planned, ports=ports.get(network.name, ())))
            self._record(container)
            path, netlink = self._namespaces.create(container)
            with netlink:
                for network, _ in networks:
                    self._connect(container, network.name, str(path), netlink)
                _set_default_routes(netlink, self.of(container))
            undo.pop_all()
        for network, _ in networks:
            self._announce("connect", network, container)
        return str(path), self.of(container)

    def close(self, container: str, *, quiet: bool = False) -> None:
        """Take away all that a container has on networks. Harmless if there is nothing."""
        endpoints = self._known(container)
        with ExitStack() as undo:
            undo.callback(self._forget, container)
            late = [endpoint for endpoint in endpoints.values() if not self._needs_sandbox(endpoint)]
            for endpoint in late:
                undo.callback(self._disconnect, Sandbox(container), endpoint, quiet=quiet)
            undo.callback(self._namespaces.remove, container)
            for endpoint in endpoints.values():
                if endpoint not in late:
                    sandbox = Sandbox(container, self.path(container))
                    undo.callback(self._disconnect, sandbox, endpoint, quiet=quiet)

    # While it runs

    def connect(self, container: str, network: Network, settings: EndpointSettings, names: tuple[str, ...]) -> Endpoint:
        """Connect a running container to one more network, and return its endpoint. Nothing is left if this raises."""
        path = self._require_path(container)
        with ExitStack() as undo:
            endpoint = self._plan(container, network, settings, names)
            undo.callback(self._record, container)
            undo.callback(self._disconnect, Sandbox(container, path), endpoint, quiet=True)
            self._record(container)

            def work() -> None:
                with Netlink() as netlink:
                    self._connect(container, network.name, path, netlink)
                    _set_default_routes(netlink, self.of(container))

            inside(path, work)
            undo.pop_all()
        self._announce("connect", network, container)
        return self.of(container)[network.name]

    def disconnect(self, container: str, endpoint: Endpoint) -> None:
        """Take a running container off a network."""
        path = self.path(container)
        self._disconnect(Sandbox(container, path), endpoint)
        self._record(container)
        remaining = self.of(container)

        def work() -> None:
            with Netlink() as netlink:
                _set_default_routes(netlink, remaining)

        if path:
            inside(path, work)

    def rename(self, container: str, endpoint: Endpoint, names: tuple[str, ...]) -> Endpoint:
        """Record that others know a running container by other names on a network; return its endpoint."""
        renamed = replace(endpoint, names=names)
        self._set(container, renamed)
        self._record(container)
        return renamed

    def _require_path(self, container: str) -> str:
        path = self.path(container)
        if not path:
            raise Conflict(f"the network namespace of the container {container[:12]} was not made for networks")
        return path

    # After a crash

    def adopt(self, container: Container, *, was_running: bool) -> Mapping[str, Endpoint]:
        """Take over a running container's endpoints from an earlier engine, and return them.

        `was_running` says that the database knew it as running, and so which endpoints it has; what was being made or
        taken away beside those is taken away. Otherwise the engine was killed in the middle of its start.
        """
        recorded = self._read(container.id)
        kept = dict(container.endpoints) if was_running else recorded
        with self._lock:
            self._endpoints[container.id] = {**recorded, **kept}
        sandbox = Sandbox(container.id, self.path(container.id))
        for name, endpoint in recorded.items():
            if name not in kept or kept[name].id != endpoint.id:
                self._disconnect(sandbox, endpoint)
        with self._lock:
            self._endpoints[container.id] = dict(kept)
        if recorded or kept:
            self._record(container.id)
        return kept

    def recovered(self, alive: set[str]) -> None:
        """Give back what no running container has: addresses, and namespaces."""
        for container in self._namespaces.containers():
            if container not in alive:
                self._namespaces.remove(container)
        with self._lock:
            used = {
                (endpoint.network, address)
                for endpoints in self._endpoints.values()
                for endpoint in endpoints.values()
                for address in (endpoint.bare_address, endpoint.bare_address6)
            }
        self._networks.leases.retain(used)

    def resume(self) -> None:
        """Have drivers look at what they connected for an earlier engine, and undo what nobody has any more."""
        with self._lock:
            found = [(container, item) for container, items in self._endpoints.items() for item in items.values()]
        for container, endpoint in found:
            try:
                network = self._networks.get(endpoint.network)
                driver = self._networks.driver(network.driver)
                driver.verify(Sandbox(container, self.path(container)), network, endpoint)
            except Exception as error:  # noqa: BLE001 a driver of anybody's must not stop the others
                log.warning("the container %s on the network %s: %s", container, endpoint.network_name, error)
        for name in {network.driver for network in self._networks.list()}:
            try:
                self._networks.driver(name).recover(self._is_connected)
            except Exception as error:  # noqa: BLE001 as above
                log.warning("what the network driver %s may have left: %s", name, error)

    def _is_connected(self, endpoint: str) -> bool:
        with self._lock:
            return any(endpoint == item.id for items in self._endpoints.values() for item in items.values())

    def _needs_sandbox(self, endpoint: Endpoint) -> bool:
        try:
            return self._networks.kind(self._networks.get(endpoint.network).driver).needs_sandbox
        except TransomError:
            return False

    # One endpoint

    def _plan(self, container: str, network: Network, settings: EndpointSettings, names: tuple[str, ...]) -> Endpoint:
        """Choose what an endpoint is to be; from here on the network is in use, and the addresses are taken."""
        self._networks.ensure(network)
        with self._networks.locked(network) as current:
            address = gateway = address6 = gateway6 = ""
            addressing = self._networks.kind(current.driver).addressing
            if addressing is Addressing.CORE:
                leases = self._networks.leases
                if current.ipv4:
                    address, gateway = leases.give(current, container, 4, settings.address)
                try:
                    address6, gateway6 = leases.give(current, container, 6, settings.address6)
                except BaseException:
                    leases.release(current.id, [address.partition("/")[0]])
                    raise
            endpoint = Endpoint(
                secrets.token_hex(32),
                current.id,
                current.name,
                interface=self._interface(container, current, settings),
                link_local=tuple(f"{address}/{64 if ':' in address else 16}" for address in settings.link_local),
                address=address,
                address6=address6,
                gateway=gateway,
                gateway6=gateway6,
                mac=settings.mac or (_mac_for(address) if addressing is Addressing.CORE else ""),
                names=names,
                driver_options=settings.driver_options,
                gateway_priority=settings.gateway_priority,
            )
            self._set(container, endpoint)
        return endpoint

    def _interface(self, container: str, network: Network, settings: EndpointSettings) -> str:
        """Return the name of an endpoint's interface: what was asked for, or the next one that is free."""
        taken = {endpoint.interface: endpoint.network_name for endpoint in self.of(container).values()}
        wanted = interface_name(settings)
        if wanted in taken:
            raise Conflict(
                f"cannot name the interface on the network {network.name} {wanted}: that on the network"
                f" {taken[wanted]} has this name"
            )
        return wanted or next(name for number in range(len(taken) + 1) if (name := f"eth{number}") not in taken)

    def _connect(self, container: str, name: str, path: str, netlink: Netlink) -> None:
        """Bring an endpoint's interface into a namespace, where `netlink` is, and set its addresses."""
        endpoint = self.of(container)[name]
        network = self._networks.get(endpoint.network)
        driver = self._networks.driver(network.driver)
        made = expect(driver, "connect", Endpoint, driver.connect(Sandbox(container, path), network, endpoint))
        variables = interface_sysctls(endpoint.driver_options)
        if variables:
            inside(path, lambda: _set_variables(made.interface, variables))
        if driver.addressing is Addressing.CORE:
            link = netlink.find_link(made.interface)
            if link is None:
                raise TransomError(f"the network driver {network.driver} brought no interface {made.interface}")
            addresses = [address for address in (made.address, made.address6, *made.link_local) if address]
            try:
                netlink.configure(link.index, addresses, link_local=bool(made.address6))
            except OSError as error:
                raise TransomError(
                    f"cannot set the addresses {', '.join(addresses)} on the network {network.name}: {error.strerror}"
                ) from error
        self._set(container, made)
        if made != endpoint:
            self._record(container)

    def _disconnect(self, sandbox: Sandbox, endpoint: Endpoint, *, quiet: bool = False) -> None:
        """Undo what was made of an endpoint, however much that is."""
        with ExitStack() as undo:
            undo.callback(self._unset, sandbox.container, endpoint)
            undo.callback(
                self._networks.leases.release, endpoint.network, [endpoint.bare_address, endpoint.bare_address6]
            )
            try:
                network = self._networks.get(endpoint.network)
                driver: NetworkDriver = self._networks.driver(network.driver)
            except NotFound:
                # Its network was removed with force, or its driver is not installed any more.
                log.warning("the endpoint %s of the network %s has no driver", endpoint.id, endpoint.network_name)
                return
            if not quiet:
                undo.callback(self._announce, "disconnect", network, sandbox.container)
            driver.disconnect(sandbox, network, endpoint)

    def _announce(self, action: str, network: Network, container: str) -> None:
        self._events.record(
            "network", action, network.id, {"container": container, "name": network.name, "type": network.driver}
        )

    # What is known of a container

    def _set(self, container: str, endpoint: Endpoint) -> None:
        with self._lock:
            self._endpoints.setdefault(container, {})[endpoint.network_name] = endpoint

    def _unset(self, container: str, endpoint: Endpoint) -> None:
        with self._lock:
            endpoints = self._endpoints.get(container, {})
            if endpoints.get(endpoint.network_name, endpoint).id == endpoint.id:
                endpoints.pop(endpoint.network_name, None)

    def _forget(self, container: str) -> None:
        with self._lock:
            self._endpoints.pop(container, None)
        (self._shims / container / _RECORD).unlink(missing_ok=True)

    def _known(self, container: str) -> dict[str, Endpoint]:
        """Return a container's endpoints: as they are known here, or as an earlier engine recorded them."""
        with self._lock:
            known = self._endpoints.get(container)
        return dict(known) if known is not None else self._read(container)

    def _record(self, container: str) -> None:
        endpoints = [records.dump(endpoint) for endpoint in self.of(container).values()]
        publish(self._shims / container / _RECORD, json.dumps(endpoints))

    def _read(self, container: str) -> dict[str, Endpoint]:
        try:
            content = json.loads((self._shims / container / _RECORD).read_bytes())
        except FileNotFoundError:
            return {}
        return {item["network_name"]: records.load(Endpoint, item) for item in content}


def _set_variables(interface: str, variables: Mapping[str, str]) -> None:
    """Set variables of sysctl(8) of an interface of the current network namespace, as paths below /proc/sys/net."""
    for path, value in variables.items():
        file = Path("/proc/sys/net", path.format(interface))
        try:
            file.write_text(value)
        except OSError as error:
            raise InvalidParameter(f"cannot set {file} to {value!r}: {error.strerror}") from error


def order_of(endpoints: Mapping[str, Endpoint]) -> list[Endpoint]:
    """Return a container's endpoints in the order in which they are asked for a default route.

    The highest priority comes first, and among equals the network whose name does.
    """
    return sorted(endpoints.values(), key=lambda item: (-item.gateway_priority, item.network_name))


def default_routes(endpoints: Mapping[str, Endpoint]) -> dict[str, list[str]]:
    """Return the gateways of the default routes, one of a family, by interface."""
    ordered = order_of(endpoints)
    chosen: dict[str, list[str]] = {}
    for family in ("gateway", "gateway6"):
        endpoint = next((item for item in ordered if getattr(item, family)), None)
        if endpoint is not None:
            chosen.setdefault(endpoint.interface, []).append(getattr(endpoint, family))
    return chosen


def _set_default_routes(netlink: Netlink, endpoints: Mapping[str, Endpoint]) -> None:
    routes = default_routes(endpoints)
    if len(endpoints) != 1:
        netlink.delete_default_routes()
    for interface, gateways in routes.items():
        link = netlink.find_link(interface)
        if link is not None:
            netlink.set_default_routes(link.index, gateways)


def _mac_for(address: str) -> str:
    """Return a locally administered address for an interface: that of its IPv4 address, or a random one."""
    if not address:
        return ":".join(["02", "42", *(f"{octet:02x}" for octet in secrets.token_bytes(4))])
    packed = ipaddress.ip_interface(address).ip.packed
    return ":".join(["02", "42", *(f"{octet:02x}" for octet in packed)])
