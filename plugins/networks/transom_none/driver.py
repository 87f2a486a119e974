"""No network: a container's sandbox has a loopback interface and nothing else."""

from __future__ import annotations

from typing import ClassVar

from transom.drivers.network import Addressing, Endpoint, Network, NetworkDriver, Sandbox, SandboxKind

__all__ = ["NoneDriver"]


class NoneDriver(NetworkDriver):
    """The network driver `none`. It has one network, which carries its name and is always there."""

    name: ClassVar[str] = "none"
    rank: ClassVar[int] = 0
    sandbox = SandboxKind.ISOLATED
    addressing = Addressing.NONE
    single = True

    def create(self, network: Network) -> None:
        """There is nothing to make."""

    def remove(self, network: Network) -> None:
        """There is nothing to take away."""

    def connect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> Endpoint:
        """The loopback interface is the exec driver's."""
        del sandbox, network
        return endpoint

    def disconnect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> None:
        """There is nothing to undo."""
