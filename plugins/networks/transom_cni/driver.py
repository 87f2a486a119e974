"""Networks of CNI plugins (CNI specification 1.0.0): they bring the interfaces, and give and set the addresses.

A network is a configuration of the machine; nothing is made for it. Each connection is an ADD of its plugins and
recorded before it (`attachments`), so that it is undone with the same configuration, whatever was changed or killed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from transom.drivers.network import Addressing, Endpoint, Network, NetworkDriver, Sandbox, SandboxKind
from transom.errors import InvalidParameter, TransomError
from transom.networks.firewall import Firewall
from transom.networks.link_driver import require_network_administration
from transom_cni.attachments import Attached, Attachments
from transom_cni.configuration import NetworkConfiguration, find_configuration
from transom_cni.options import Options
from transom_cni.plugins import Attachment, Plugins
from transom_cni.results import endpoint_of

__all__ = ["CniDriver"]

log = logging.getLogger(__name__)

_PORTS, _MAC = "portMappings", "mac"


class CniDriver(NetworkDriver):
    """The network driver `cni`."""

    name: ClassVar[str] = "cni"
    limits: ClassVar[tuple[str, ...]] = (
        "It runs the plugins' programs, one after the other, at each start and end of a container.",
        "What plugins make for all of a network, such as a bridge, stays when the network is removed.",
        "Ports are published by a plugin with the capability portMappings, when the container starts.",
        "What plugins say about name servers is not used.",
    )
    sandbox = SandboxKind.PRIVATE
    addressing = Addressing.DRIVER
    resolves_names = True
    maps_ports = True
    needs_sandbox = True

    def __init__(self, root: Path, firewall: Firewall) -> None:
        super().__init__(root, firewall)
        self._attachments = Attachments(root / "attachments")

    @classmethod
    def probe(cls, root: Path) -> None:
        """Return if this process may configure the network."""
        del root
        require_network_administration()

    def check(self, network: Network) -> None:
        """Raise `InvalidParameter` for a wrong option, and a configuration or a plugin that is not there."""
        options = Options.of(network)
        if network.internal or network.ipv6:
            raise InvalidParameter(
                "the configuration says where a CNI network leads and which addresses it has: give neither --internal"
                " nor --ipv6"
            )
        Plugins(options.plugins).require(find_configuration(options.directory, options.config))

    def create(self, network: Network) -> None:
        """There is nothing to make: plugins make what they need when they are added."""

    def remove(self, network: Network) -> None:
        """There is nothing to take away."""

    def connect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> Endpoint:
        """Run ADD, and DEL if that fails."""
        options = Options.of(network)
        configuration = find_configuration(options.directory, options.config)
        told = _told(configuration, endpoint)
        attachment = Attachment(sandbox.container, endpoint.interface, sandbox.path)
        attached = Attached.of(attachment, configuration, options.plugins, told)
        with self._attachments.locked(endpoint.id) as lock:
            self._attachments.write(endpoint.id, attached)
            try:
                result = Plugins(options.plugins).add(configuration, attachment, told, lock)
                self._attachments.complete(endpoint.id, attached, result)
                return endpoint_of(endpoint, result)
            except BaseException:
                try:
                    self._detach(endpoint.id, attached, sandbox.path, lock)
                except TransomError as error:
                    # It is tried again when the engine starts.
                    log.warning("after an ADD that failed: %s", error)
                raise

    def disconnect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> None:
        """Run DEL with what ADD was called with."""
        del network
        self._undo(endpoint.id, sandbox.path)

    def verify(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> None:
        """Run CHECK."""
        del network
        attached = self._attachments.read(endpoint.id)
        if attached is not None and attached.result is not None:
            attachment = Attachment(sandbox.container, endpoint.interface, sandbox.path)
            Plugins(attached.directories).check(attached.parsed(), attachment, attached.told, attached.result)

    def recover(self, is_connected: Callable[[str], bool]) -> None:
        """Run DEL for each attachment whose container is gone."""
        for endpoint in self._attachments.list():
            if not is_connected(endpoint):
                try:
                    self._undo(endpoint, "")
                except TransomError as error:
                    log.warning("the attachment of the endpoint %s stays: %s", endpoint, error)

    def _undo(self, endpoint: str, namespace: str) -> None:
        if endpoint not in self._attachments.list():
            return
        with self._attachments.locked(endpoint) as lock:
            attached = self._attachments.read(endpoint)
            if attached is not None:
                self._detach(endpoint, attached, namespace, lock)

    def _detach(self, endpoint: str, attached: Attached, namespace: str, lock: int) -> None:
        attachment = Attachment(attached.container, attached.interface, namespace)
        plugins = Plugins(attached.directories)
        plugins.delete(attached.parsed(), attachment, attached.told, attached.result, lock)
        self._attachments.forget(endpoint)


def _told(configuration: NetworkConfiguration, endpoint: Endpoint) -> dict[str, Any]:
    """Return the values of the capabilities that an endpoint needs. Raises `InvalidParameter` if one is missing."""
    told: dict[str, Any] = {}
    if endpoint.ports:
        told[_PORTS] = [
            {
                "hostPort": port.host_port,
                "containerPort": port.port,
                "protocol": port.protocol,
                "hostIP": "" if port.address in ("0.0.0.0", "::") else port.address,
            }
            for port in endpoint.ports
            if port.address != "::"
        ]
    if endpoint.mac:
        told[_MAC] = endpoint.mac
    for name, remedy in ((_PORTS, "publish no ports"), (_MAC, "give no --mac-address")):
        if name in told and name not in configuration.capabilities:
            raise InvalidParameter(
                f"the CNI network {configuration.name} has no plugin with the capability {name}: add one, or {remedy}"
            )
    return told
