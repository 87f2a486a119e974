"""The network driver `bridge`: containers on a bridge of this machine, which routes for them."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import NetworkDriver

__all__ = ["transom_networkdrivers"]


@hookimpl
def transom_networkdrivers() -> list[type[NetworkDriver]]:
    from transom_bridge.driver import BridgeDriver

    return [BridgeDriver]
