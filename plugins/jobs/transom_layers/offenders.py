"""What wastes most: paths whose content some layer stores and no container sees."""

from __future__ import annotations

from collections.abc import Iterable

from transom.graph.layer_report import HiddenVersion, Offender
from transom_layers.tree import Hiding

__all__ = ["find_offenders"]


def find_offenders(hidings: Iterable[Hiding]) -> list[Offender]:
    """Return all that waste, the worst first. What was deleted as a whole directory is one, at the directory."""
    found: dict[bytes, dict[tuple[int, int, bool], int]] = {}
    for hiding in hidings:
        if hiding.version.size:
            versions = found.setdefault(_place(hiding), {})
            key = (hiding.version.layer, hiding.layer, hiding.deleted)
            versions[key] = versions.get(key, 0) + hiding.version.size
    offenders = [
        Offender(
            path,
            tuple(HiddenVersion(layer, size, by, deleted) for (layer, by, deleted), size in sorted(versions.items())),
        )
        for path, versions in found.items()
    ]
    return sorted(offenders, key=lambda offender: (-offender.size, offender.path))


def _place(hiding: Hiding) -> bytes:
    if hiding.root is None:
        return b"/" + hiding.version.node.path
    path = hiding.root.path
    return b"/%b/" % path if path else b"/"
