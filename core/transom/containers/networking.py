"""What a container's network makes of it: the namespace that it runs in, its names, its published ports.

open ─▶ namespace, endpoints ─▶ names, resolver ─▶ published ports          close: the same in reverse
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from transom import records
from transom.containers.links import BRIDGE, Links
from transom.containers.model import Container
from transom.containers.own_files import OwnFiles
from transom.errors import Conflict
from transom.networks.connections import order_of
from transom.networks.model import Endpoint, Network
from transom.networks.ports import PortBinding, PublishedPort, Reservation, parse_exposed
from transom.runtime.shim import publish

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["DONOR", "Networking", "Opened", "bindings_of", "names_of"]

#: The network mode of a container that has the network of another.
DONOR = "container:"
#: In the shim's directory: what is published, until the container's own record says it.
_PUBLISHED = "ports.json"
_HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"


@dataclass(frozen=True)
class Opened:
    """The network of a container that starts.

    `private` says whether it has one of its own, `namespaces` where the namespace is that it joins if that is made
    (by type, as `Surroundings` has it), `sandbox` where the one is that the engine made for it.
    """

    private: bool
    namespaces: Mapping[str, str] = field(default_factory=dict)
    sandbox: str = ""
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    published: tuple[PublishedPort, ...] = ()
    #: What links put into its environment.
    variables: tuple[str, ...] = ()


def names_of(container: Container, network: Network) -> tuple[str, ...]:
    """Return the names by which the other containers on a network know a container; on built-in ones there are none."""
    if network.builtin:
        return ()
    aliases = container.networks[network.name].aliases if network.name in container.networks else ()
    own = (container.name, *aliases, container.id[:12])
    return tuple(dict.fromkeys((*own, *((container.config.hostname,) if container.config.hostname else ()))))


def bindings_of(container: Container) -> tuple[PortBinding, ...]:
    """Return the ports of a container that are to be published."""
    bindings = container.host.ports
    if not container.host.publish_all:
        return bindings
    bound = {(binding.port, binding.protocol) for binding in bindings}
    exposed = sorted(parse_exposed(container.config.run.exposed_ports))
    return (*bindings, *(PortBinding(*port) for port in exposed if port not in bound))


class Networking:
    """The networks of one engine's containers, as far as containers are concerned. The caller holds their locks."""

    def __init__(self, engine: Engine, links: Links) -> None:
        self._engine = engine
        self._links = links
        self._files = OwnFiles(engine, links)

    def directory(self, container: Container) -> Path:
        """Return the directory that lasts as long as a container: its log, and its own files in /etc."""
        return self._files.directory(container)

    def open(self, container: Container) -> Opened:
        """Make the network of a container that starts. Nothing is left if this raises."""
        if container.network.startswith(DONOR):
            return Opened(private=False, namespaces={"network": f"/proc/{self._donor(container).state.pid}/ns/net"})
        names = {}
        for name, settings in container.networks.items():
            network = self._engine.networks.get(settings.network or name)
            names[network.name] = names_of(container, network)
        with ExitStack() as undo, self._mapped_ports(container) as (mapping, reservations):
            ports = {mapping: tuple(item.published for item in reservations)}
            made = self._engine.connections.open(container.id, container.networks, names, ports)
            if made is None:
                return Opened(private=False)
            path, endpoints = made
            undo.callback(self.close, container.id)
            opened = replace(container, endpoints=endpoints, sandbox=path)
            self._name(opened)
            if mapping:
                published = self._record_published(opened, reservations, endpoints[mapping])
            else:
                published = self._publish(opened)
            self.relink(opened)
            self._links.check(opened)
            variables = self._links.variables(opened)
            undo.pop_all()
        return Opened(True, {"network": path} if path else {}, path, endpoints, published, variables)

    def close(self, container: str) -> None:
        """Take away all that a container has on networks. Harmless if there is nothing."""
        with ExitStack() as undo:
            undo.callback(self._engine.connections.close, container)
            undo.callback(self._engine.naming.drop, container)
            undo.callback(self._engine.publishing.withdraw, container)
            undo.callback(self._links.forget, container)

    def end(self, container: Container) -> None:
        """Take away all that a container had on networks that has ended, under this engine or an earlier one."""
        with ExitStack() as undo:
            undo.callback(self.close, container.id)
            carrier = self._carrier(container)
            if carrier is not None:
                self._engine.publishing.recall(container.id, container.published, carrier)

    def relink(self, container: Container) -> None:
        """Have those that are linked to a container, and the firewall, know where it is."""
        for parent in self._links.allow(container):
            # One that is just being started may have no files yet; it finds the address when it writes them.
            if self.directory(parent).exists():
                self._files.write_hosts(replace(parent, endpoints=self._engine.connections.of(parent.id)))

    def unlinked(self, container: Container) -> None:
        """Take back what a running container had of links that are gone."""
        self._links.forget(container.id)
        self.relink(container)
        self._files.write_hosts(container)

    def connect(self, container: Container, network: Network) -> Container:
        """Connect a running container to one more network, and return it with its place there."""
        endpoint = self._engine.connections.connect(
            container.id, network, container.networks[network.name], names_of(container, network)
        )
        connected = replace(container, endpoints={**container.endpoints, network.name: endpoint})
        with ExitStack() as undo:
            undo.callback(self._engine.connections.disconnect, container.id, endpoint)
            self._name(connected)
            moved = self._move_ports(container, connected)
            undo.pop_all()
        self._files.write(moved)
        self.relink(moved)
        return moved

    def disconnect(self, container: Container, endpoint: Endpoint) -> Container:
        """Take a running container off a network, that it has no place on any more, and return it as it is then."""
        self._engine.naming.leave(container.id, endpoint.network)
        if endpoint.network_name == BRIDGE:
            self._links.forget(container.id)
        before = replace(container, endpoints={**container.endpoints, endpoint.network_name: endpoint})
        self._engine.connections.disconnect(container.id, endpoint)
        moved = self._move_ports(before, container)
        self._files.write(moved)
        self.relink(moved)
        return moved

    def adopt(self, container: Container, *, was_running: bool) -> Container:
        """Take over what an earlier engine made for a running container, and return it with what it has."""
        connections = self._engine.connections
        published = container.published if was_running else self._read_published(container.id)
        adopted = replace(
            container,
            endpoints=connections.adopt(container, was_running=was_running),
            sandbox=connections.path(container.id),
            published=published,
        )
        self.restore(adopted)
        return adopted

    def restore(self, container: Container) -> None:
        """Make the names and published ports of a running container known again, where they were lost."""
        self._name(container)
        self._links.allow(container)
        carrier = self._carrier(container)
        if carrier is not None:
            self._engine.publishing.restore(container.id, container.published, carrier)

    def rename(self, container: Container) -> Container:
        """Let a running container be known by its new name, and return it with its places under that."""
        endpoints = {}
        for name, endpoint in container.endpoints.items():
            network = self._engine.networks.get(endpoint.network)
            endpoints[name] = self._engine.connections.rename(container.id, endpoint, names_of(container, network))
        renamed = replace(container, endpoints=endpoints)
        self._name(renamed)
        return renamed

    def files(self, container: Container) -> dict[str, Path]:
        """Write the files of /etc that a container has of its own, and return them by their path in it."""
        if not container.network.startswith(DONOR):
            return self._files.make(container)
        self.directory(container).mkdir(mode=0o710, parents=True, exist_ok=True)
        return self._files.existing(self._donor(container))

    def existing_files(self, container: Container) -> dict[str, Path]:
        """Return the files of /etc that a container has of its own since its first start, by their path in it."""
        return self._files.existing(container)

    def _donor(self, container: Container) -> Container:
        donor = self._engine.containers.get(container.network.removeprefix(DONOR))
        if not donor.state.running:
            raise Conflict(f"cannot join network of a non running container: {donor.id}")
        return donor

    def _name(self, container: Container) -> None:
        """Make a container known to the others on its networks, and give it a resolver, where networks have names."""
        named = [endpoint for endpoint in container.endpoints.values() if endpoint.names]
        if not named:
            return
        naming = self._engine.naming
        if not naming.has_resolver(container.id):
            naming.open(container.id, container.sandbox, self._files.upstream(container))
        for endpoint in named:
            settings = container.networks.get(endpoint.network_name)
            links = dict(item.partition(":")[::2] for item in settings.links) if settings else {}
            naming.place(container.id, endpoint, {alias or name: name for name, alias in links.items()})

    # Ports

    def _carrier(self, container: Container) -> Endpoint | None:
        """Return the endpoint that published ports lead to, None if there is none.

        It is the one whose driver publishes them, or the one with the default route.
        """
        for endpoint in order_of(container.endpoints):
            if endpoint.ports:
                return endpoint
            network = self._engine.networks.get(endpoint.network)
            if (endpoint.gateway or endpoint.gateway6) and self._engine.networks.kind(network.driver).publishes_ports:
                return endpoint
        return None

    @contextmanager
    def _mapped_ports(self, container: Container) -> Iterator[tuple[str, list[Reservation]]]:
        """Give the network whose driver publishes a container's ports itself, and the ports, which are taken.

        The name is empty where the engine publishes them.
        """
        bindings, networks = bindings_of(container), self._engine.networks
        found = [networks.get(settings.network or name) for name, settings in container.networks.items()]
        kinds = {network.name: networks.kind(network.driver) for network in found}
        name = next((name for name in sorted(kinds) if kinds[name].maps_ports), "")
        if not bindings or not name or any(kind.publishes_ports for kind in kinds.values()):
            yield "", []
            return
        with self._engine.publishing.reserved(bindings) as reservations:
            yield name, reservations

    def _publish(self, container: Container) -> tuple[PublishedPort, ...]:
        bindings = bindings_of(container)
        carrier = self._carrier(container)
        if carrier is None or not bindings:
            return ()
        options = self._engine.networks.get(carrier.network).options
        address = options.get(_HOST_BINDING, "")
        address = "" if address == "0.0.0.0" else address
        with self._engine.publishing.reserved(bindings, address) as reservations:
            return self._record_published(container, reservations, carrier)

    def _record_published(
        self, container: Container, reservations: list[Reservation], carrier: Endpoint
    ) -> tuple[PublishedPort, ...]:
        self._engine.publishing.publish(container.id, reservations, carrier)
        published = tuple(item.published for item in reservations)
        record = json.dumps([records.dump(port) for port in published])
        publish(self._engine.supervisor.shims.directory(container.id) / _PUBLISHED, record)
        return published

    def _move_ports(self, before: Container, after: Container) -> Container:
        """Have published ports lead to another endpoint, if that has the default route now."""
        old, new = self._carrier(before), self._carrier(after)
        if not bindings_of(after) or (old and old.id) == (new and new.id):
            return after
        self._engine.publishing.withdraw(after.id)
        return replace(after, published=self._publish(after))

    def _read_published(self, container: str) -> tuple[PublishedPort, ...]:
        try:
            content = (self._engine.supervisor.shims.directory(container) / _PUBLISHED).read_bytes()
        except FileNotFoundError:
            return ()
        return tuple(records.load(PublishedPort, item) for item in json.loads(content))
