"""No network: a container's sandbox has a loopback interface and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from transom.drivers.network import Endpoint, NetworkDriver, Sandbox, SandboxKind
from transom.errors import Forbidden, InvalidParameter

__all__ = ["NoneDriver"]


class NoneDriver(NetworkDriver):
    """The network driver `none`. It has one network, which carries its name and is always there."""

    name: ClassVar[str] = "none"
    rank: ClassVar[int] = 0
    sandbox = SandboxKind.PRIVATE

    def create(self, network: str, options: Mapping[str, str]) -> None:
        if options:
            raise InvalidParameter(f"the network driver none has no option {min(options)!r}")
        if network != self.name:
            raise Forbidden(f"cannot create the network {network}: only one network of the driver none is allowed")

    def remove(self, network: str) -> None:
        if network == self.name:
            raise Forbidden("none is a pre-defined network and cannot be removed")

    def connect(self, sandbox: Sandbox, endpoint: Endpoint) -> Endpoint:  # noqa: ARG002 the loopback is the runtime's
        return endpoint

    def disconnect(self, sandbox: Sandbox, endpoint: Endpoint) -> None:
        """There is nothing to undo."""
