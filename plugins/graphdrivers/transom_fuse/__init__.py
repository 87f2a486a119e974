"""The graph driver `fuse`: a union of layers in Python, without the kernel's overlayfs."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import GraphDriver

__all__ = ["transom_graphdrivers"]


@hookimpl
def transom_graphdrivers() -> list[type[GraphDriver]]:
    from transom_fuse.driver import FuseDriver

    return [FuseDriver]
