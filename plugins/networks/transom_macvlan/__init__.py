"""The network driver `macvlan`: containers with addresses of their own on the machine's network."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import NetworkDriver

__all__ = ["transom_networkdrivers"]


@hookimpl
def transom_networkdrivers() -> list[type[NetworkDriver]]:
    from transom_macvlan.driver import MacvlanDriver

    return [MacvlanDriver]
