"""The graph driver `vfs`: every layer is a complete copy of its parent, on any file system."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import GraphDriver

__all__ = ["transom_graphdrivers"]


@hookimpl
def transom_graphdrivers() -> list[type[GraphDriver]]:
    from transom_vfs.driver import VfsDriver

    return [VfsDriver]
