"""The network driver `cni`: networks that the machine's CNI plugins provide."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import NetworkDriver

__all__ = ["transom_networkdrivers"]


@hookimpl
def transom_networkdrivers() -> list[type[NetworkDriver]]:
    from transom_cni.driver import CniDriver

    return [CniDriver]
