"""The files of /etc that a container has of its own: hostname, hosts, resolv.conf."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from transom.containers.links import Links
from transom.containers.model import Container
from transom.errors import InvalidParameter
from transom.networks.files import Resolution, host_resolution, hosts_file, machine_file, write_in_place
from transom.networks.naming import RESOLVER

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["OwnFiles"]

_PATHS = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
#: In `--add-host`: the address of the machine, as containers on the default bridge know it.
_HOST_GATEWAY = "host-gateway"


class OwnFiles:
    """The files of one engine's containers."""

    def __init__(self, engine: Engine, links: Links) -> None:
        self._engine = engine
        self._links = links
        #: Held while a hosts file is written: a container's own start may write it, and that of one that it links to.
        self._hosts_lock = threading.Lock()

    def directory(self, container: Container) -> Path:
        """Return the directory that lasts as long as a container: its log, and its own files in /etc."""
        return self._engine.config.data_root / "containers" / container.id

    def make(self, container: Container) -> dict[str, Path]:
        """Write a container's files for its start, and return them by their path in it."""
        directory = self.directory(container)
        directory.mkdir(mode=0o710, parents=True, exist_ok=True)
        write_in_place(directory / "hostname", f"{container.config.hostname}\n")
        self.write(container)
        return self.existing(container)

    def existing(self, container: Container) -> dict[str, Path]:
        """Return a container's files that are there, by their path in it."""
        files = {path: self.directory(container) / Path(path).name for path in _PATHS}
        return {path: file for path, file in files.items() if file.exists()}

    def write(self, container: Container) -> None:
        """Write what changes when a container is connected to a network, or taken off one."""
        self.write_hosts(container)
        directory = self.directory(container)
        write_in_place(directory / "resolv.conf", self._resolution(container).text())

    def write_hosts(self, container: Container) -> None:
        """Write the hosts file, with where the containers are that it links to."""
        with self._hosts_lock:
            write_in_place(self.directory(container) / "hosts", self._hosts(container))

    def upstream(self, container: Container) -> tuple[str, ...]:
        """Return the servers that a container's resolver asks for what is no container's name."""
        if not any(endpoint.gateway or endpoint.gateway6 for endpoint in container.endpoints.values()):
            # Networks that lead nowhere lead to no name server either.
            return ()
        # It asks from the machine, whose servers on the loopback interface it reaches.
        return self._asked(container, host_resolution()).servers

    def _hosts(self, container: Container) -> str:
        extra = [self._extra_host(entry) for entry in container.host.extra_hosts]
        if container.network == "host":
            lines = "".join(f"{address}\t{name}\n" for name, address in extra)
            return (machine_file("/etc/hosts") or hosts_file({}, ())) + lines
        config = container.config
        full = f"{config.hostname}.{config.domainname}" if config.domainname else ""
        names = tuple(name for name in (full, config.hostname) if name)
        addresses = [
            address
            for endpoint in container.endpoints.values()
            for address in (endpoint.bare_address, endpoint.bare_address6)
            if address
        ]
        return hosts_file(dict.fromkeys(addresses, names), [*extra, *self._links.hosts(container)])

    def _extra_host(self, entry: str) -> tuple[str, str]:
        name, _, address = entry.partition(":")
        if address != _HOST_GATEWAY:
            return name, address
        bridge = self._engine.networks.get("bridge")
        self._engine.networks.ensure(bridge)
        gateways = [pool.gateway for pool in self._engine.networks.complete("bridge").pools]
        if not gateways:
            raise InvalidParameter("unable to derive the IP value for host-gateway")
        return name, gateways[0]

    def _asked(self, container: Container, machine: Resolution) -> Resolution:
        config, host = self._engine.config, container.host
        return machine.overridden(
            host.dns or config.dns, host.dns_search or config.dns_search, host.dns_options or config.dns_opts
        )

    def _resolution(self, container: Container) -> Resolution:
        machine = host_resolution()
        if any(endpoint.names for endpoint in container.endpoints.values()):
            asked = self._asked(container, machine)
            options = (
                asked.options
                if any(item.startswith("ndots:") for item in asked.options)
                else (
                    *asked.options,
                    "ndots:0",
                )
            )
            return Resolution((RESOLVER,), asked.search, options)
        return self._asked(container, machine.reachable() if container.endpoints else machine)
