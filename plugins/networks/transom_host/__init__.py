"""The network driver `host`: the network namespace of the machine itself."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import NetworkDriver

__all__ = ["transom_networkdrivers"]


@hookimpl
def transom_networkdrivers() -> list[type[NetworkDriver]]:
    from transom_host.driver import HostDriver

    return [HostDriver]
