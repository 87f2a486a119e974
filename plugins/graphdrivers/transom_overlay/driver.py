"""Layers for the kernel's overlayfs, kept as `transom.graph.stacked_layers` says, and

<root>/.empty            stands below a layer that has no parent, since overlayfs wants something there
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import ClassVar

from transom.drivers.graph import Deviations
from transom.errors import Unsupported
from transom.graph.file_systems import file_system_name
from transom.graph.stacked_layers import StackedLayers
from transom_overlay.mounting import SCRATCH_PREFIX, mount_overlay
from transom_overlay.probe import probe_overlay

__all__ = ["OverlayDriver"]

_EMPTY = ".empty"
#: What the kernel takes below the writable layer (OVL_MAX_STACK).
_MOST_LAYERS = 500


class OverlayDriver(StackedLayers):
    """The graph driver `overlay`."""

    name: ClassVar[str] = "overlay"
    rank: ClassVar[int] = 100
    merit: ClassVar[str] = "the kernel puts shared layers together, and copies a file when it is first changed"
    deviations: ClassVar[Deviations] = Deviations(directories_stay=True, hard_links_part=True)
    own_names: ClassVar[frozenset[str]] = frozenset({_EMPTY})

    @classmethod
    def probe(cls, root: Path) -> None:
        probe_overlay(root)

    def attach(self, target: Path, layers: Sequence[Path], work: Path | None) -> None:
        if len(layers) > _MOST_LAYERS:
            raise Unsupported(
                f"overlayfs takes at most {_MOST_LAYERS} layers and this has {len(layers)}: use another graph"
                " driver, vfs for one (--graphdriver vfs, or --storage-opt driver=vfs)"
            )
        empty = self.root / _EMPTY
        empty.mkdir(mode=0o755, exist_ok=True)
        if work is None:
            mount_overlay(target, [*layers, empty])
        else:
            mount_overlay(target, layers[1:] or [empty], layers[0], work)

    def status(self) -> list[tuple[str, str]]:
        return [("Backing Filesystem", file_system_name(self.root))]

    def recover(self, known: Collection[str]) -> None:
        # Scratch directories of links were never mounted, and are not empty.
        for link in self.mounts.glob(f"{SCRATCH_PREFIX}*/*"):
            link.unlink()
        super().recover(known)
