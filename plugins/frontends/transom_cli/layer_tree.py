"""The tree of an image's files as `GET /images/{name}/layers` gives it, to walk through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ALL", "Item", "Sums", "build_tree", "visible_rows"]

#: The number that stands for all layers.
ALL = 0


@dataclass
class Sums:
    """What one layer, or all, have to do with a path and all below it: numbers of files, and bytes."""

    added: int = 0
    changed: int = 0
    deleted: int = 0
    size: int = 0
    wasted: int = 0

    @property
    def any(self) -> bool:
        """Whether it is anything at all."""
        return bool(self.added or self.changed or self.deleted or self.size)


@dataclass(eq=False)
class Item:
    """A path: its last part, and what is in it. The rest of a directory is one that stands for `count` paths."""

    name: str
    kind: str
    count: int
    shares: Mapping[int, Sums]
    parent: Item | None
    children: list[Item] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The name as it is shown, a directory's with a slash."""
        if self.kind == "rest":
            return f"{self.count} more"
        return f"{self.name}/" if self.kind == "directory" else self.name

    def sums(self, layer: int) -> Sums:
        """Return what one layer has to do with it, or all of them together."""
        if layer != ALL:
            return self.shares.get(layer, Sums())
        total = Sums()
        for share in self.shares.values():
            total.added += share.added
            total.changed += share.changed
            total.deleted += share.deleted
            total.size += share.size
            total.wasted += share.wasted
        return total


def build_tree(nodes: Sequence[Mapping[str, Any]]) -> Item:
    """Return the root of the tree."""
    items: list[Item] = []
    for node in nodes:
        shares = {
            share["Layer"]: Sums(
                *(share.get(name, 0) for name in ("Added", "Changed", "Deleted", "Size", "WastedSize"))
            )
            for share in node["Shares"]
        }
        parent = items[node["Parent"]] if node["Parent"] >= 0 else None
        item = Item(node["Name"], node["Kind"], node.get("Count", 0), shares, parent)
        items.append(item)
        if parent is not None:
            parent.children.append(item)
    return items[0]


def visible_rows(root: Item, opened: set[Item], layer: int, only: str) -> Iterator[tuple[int, Item, Sums]]:
    """Yield what is shown of a tree: depth, item and sums, the largest first in each directory that is `opened`.

    `only` is the name of a number of `Sums` that must not be 0, or empty.
    """
    waiting = [(0, root, root.sums(layer))]
    while waiting:
        depth, item, sums = waiting.pop()
        yield depth, item, sums
        if item in opened:
            below = [(child, child.sums(layer)) for child in item.children]
            shown = [(child, sums) for child, sums in below if (getattr(sums, only) if only else sums.any)]
            shown.sort(key=lambda row: (row[1].size, row[1].deleted, row[0].name), reverse=True)
            waiting += [(depth + 1, child, sums) for child, sums in reversed(shown)]
