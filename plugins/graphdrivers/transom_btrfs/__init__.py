"""The graph driver `btrfs`: every layer is a subvolume, and begins as a snapshot of its parent."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import GraphDriver

__all__ = ["transom_graphdrivers"]


@hookimpl
def transom_graphdrivers() -> list[type[GraphDriver]]:
    from transom_btrfs.driver import BtrfsDriver

    return [BtrfsDriver]
