"""What a container's network makes of it: the namespace that it runs in, the names it has, its own files of /etc."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from transom.containers.model import Container
from transom.errors import Conflict
from transom.networks.files import host_resolution, hosts_file, machine_file, write_in_place
from transom.networks.model import Endpoint, Network

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["DONOR", "Networking", "Opened", "names_of"]

#: The network mode of a container that has the network of another.
DONOR = "container:"
_PATHS = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")


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


def names_of(container: Container, network: Network) -> tuple[str, ...]:
    """Return the names by which the other containers on a network know a container; on built-in ones there are none."""
    if network.builtin:
        return ()
    aliases = container.networks[network.name].aliases if network.name in container.networks else ()
    own = (container.name, *aliases, container.id[:12])
    return tuple(dict.fromkeys((*own, *((container.config.hostname,) if container.config.hostname else ()))))


class Networking:
    """The networks of one engine's containers, as far as containers are concerned."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def directory(self, container: Container) -> Path:
        """Return the directory that lasts as long as a container: its log, and its own files in /etc."""
        return self._engine.config.data_root / "containers" / container.id

    def open(self, container: Container) -> Opened:
        """Make the network of a container that starts. Nothing is left if this raises."""
        if container.network.startswith(DONOR):
            donor = self._donor(container)
            return Opened(private=False, namespaces={"network": f"/proc/{donor.state.pid}/ns/net"})
        names = {}
        for name, settings in container.networks.items():
            network = self._engine.networks.get(settings.network or name)
            names[network.name] = names_of(container, network)
        made = self._engine.connections.open(container.id, container.networks, names)
        if made is None:
            return Opened(private=False)
        path, endpoints = made
        return Opened(True, {"network": path} if path else {}, path, endpoints)

    def connect(self, container: Container, network: Network) -> Container:
        """Connect a running container to one more network, and return it with its place there."""
        endpoint = self._engine.connections.connect(
            container.id, network, container.networks[network.name], names_of(container, network)
        )
        connected = replace(container, endpoints={**container.endpoints, network.name: endpoint})
        self._write_files(connected)
        return connected

    def disconnect(self, container: Container, endpoint: Endpoint) -> None:
        """Take a running container off a network, that it has no place on any more."""
        self._engine.connections.disconnect(container.id, endpoint)
        self._write_files(container)

    def files(self, container: Container) -> dict[str, Path]:
        """Write the files of /etc that a container has of its own, and return them by their path in it."""
        directory = self.directory(container)
        directory.mkdir(mode=0o710, parents=True, exist_ok=True)
        if container.network.startswith(DONOR):
            directory = self.directory(self._donor(container))
        else:
            write_in_place(directory / "hostname", f"{container.config.hostname}\n")
            self._write_files(container)
        return {path: directory / Path(path).name for path in _PATHS}

    def existing_files(self, container: Container) -> dict[str, Path]:
        """Return the files of /etc that a container has of its own since its first start, by their path in it."""
        files = {path: self.directory(container) / Path(path).name for path in _PATHS}
        return {path: file for path, file in files.items() if file.exists()}

    def _write_files(self, container: Container) -> None:
        """Write what changes when a container is connected to a network, or taken off one."""
        directory = self.directory(container)
        if container.network == "host":
            write_in_place(directory / "hosts", machine_file("/etc/hosts") or hosts_file({}, ()))
            write_in_place(directory / "resolv.conf", machine_file("/etc/resolv.conf"))
            return
        config = container.config
        full = f"{config.hostname}.{config.domainname}" if config.domainname else ""
        names = tuple(name for name in (full, config.hostname) if name)
        addresses = [
            address
            for endpoint in container.endpoints.values()
            for address in (endpoint.bare_address, endpoint.bare_address6)
            if address
        ]
        write_in_place(directory / "hosts", hosts_file(dict.fromkeys(addresses, names), ()))
        resolution = host_resolution()
        if addresses:
            resolution = resolution.reachable()
        write_in_place(directory / "resolv.conf", resolution.text())

    def _donor(self, container: Container) -> Container:
        donor = self._engine.containers.get(container.network.removeprefix(DONOR))
        if not donor.state.running:
            raise Conflict(f"cannot join network of a non running container: {donor.id}")
        return donor
