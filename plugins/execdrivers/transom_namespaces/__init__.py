"""The exec driver `namespaces`: containers in pure Python, on Linux namespaces and control groups."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import ExecDriver

__all__ = ["transom_execdrivers"]


@hookimpl
def transom_execdrivers() -> list[type[ExecDriver]]:
    from transom_namespaces.driver import NamespacesDriver

    return [NamespacesDriver]
