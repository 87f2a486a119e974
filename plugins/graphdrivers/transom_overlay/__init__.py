"""The graph driver `overlay`: the kernel's overlayfs."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import GraphDriver

__all__ = ["transom_graphdrivers"]


@hookimpl
def transom_graphdrivers() -> list[type[GraphDriver]]:
    from transom_overlay.driver import OverlayDriver

    return [OverlayDriver]
