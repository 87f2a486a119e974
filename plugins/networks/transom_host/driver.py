"""The machine's network: a container has no sandbox of its own."""

from __future__ import annotations

from typing import ClassVar

from transom.drivers.network import Addressing, Endpoint, Network, NetworkDriver, Sandbox, SandboxKind

__all__ = ["HostDriver"]


class HostDriver(NetworkDriver):
    """The network driver `host`. It has one network, which carries its name and is always there."""

    name: ClassVar[str] = "host"
    limits: ClassVar[tuple[str, ...]] = ("Containers share the machine's interfaces, ports and firewall.",)
    sandbox = SandboxKind.HOST
    addressing = Addressing.NONE
    single = True

    def create(self, network: Network) -> None:
        """There is nothing to make."""

    def remove(self, network: Network) -> None:
        """There is nothing to take away."""

    def connect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> Endpoint:
        """Everything is there already."""
        del sandbox, network
        return endpoint

    def disconnect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> None:
        """There is nothing to undo."""
