"""The machine's network: a container has no sandbox of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from transom.drivers.network import Endpoint, NetworkDriver, Sandbox, SandboxKind
from transom.errors import Forbidden, InvalidParameter

__all__ = ["HostDriver"]


class HostDriver(NetworkDriver):
    """The network driver `host`. It has one network, which carries its name and is always there."""

    name: ClassVar[str] = "host"
    limits: ClassVar[tuple[str, ...]] = ("Containers share the machine's interfaces, ports and firewall.",)
    sandbox = SandboxKind.HOST

    def create(self, network: str, options: Mapping[str, str]) -> None:
        if options:
            raise InvalidParameter(f"the network driver host has no option {min(options)!r}")
        if network != self.name:
            raise Forbidden(f"cannot create the network {network}: only one network of the driver host is allowed")

    def remove(self, network: str) -> None:
        if network == self.name:
            raise Forbidden("host is a pre-defined network and cannot be removed")

    def connect(self, sandbox: Sandbox, endpoint: Endpoint) -> Endpoint:  # noqa: ARG002 it has everything already
        return endpoint

    def disconnect(self, sandbox: Sandbox, endpoint: Endpoint) -> None:
        """There is nothing to undo."""
