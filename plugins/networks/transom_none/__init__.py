"""The network driver `none`: a network namespace of its own, with nothing but a loopback interface."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import NetworkDriver

__all__ = ["transom_networkdrivers"]


@hookimpl
def transom_networkdrivers() -> list[type[NetworkDriver]]:
    from transom_none.driver import NoneDriver

    return [NoneDriver]
