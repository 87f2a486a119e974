"""What each layer has to do with each path, added up for directories, and the tree of that in a bounded size."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import Final

from transom.graph.archive import Kind
from transom.graph.layer_report import NodeKind, Share, TreeNode
from transom_layers.tree import Node, Tally, Tree

__all__ = ["add_up", "list_tree"]

#: The shares of a path by the number of their layer.
Shares = Mapping[int, Share]

_KINDS: Final = {Kind.DIRECTORY: NodeKind.DIRECTORY, Kind.FILE: NodeKind.FILE, Kind.SYMLINK: NodeKind.SYMLINK}


def add_up(tree: Tree) -> dict[Node, Shares]:
    """Return the shares of all paths; those of a directory have all that is below it."""
    found: dict[Node, Shares] = {}
    for node in reversed(list(tree.root.walk())):
        own = {layer: _share(layer, tally) for layer, tally in node.tallies.items()}
        below = [found[child] for child in node.children.values() if child in found]
        shares = _sum([own, *below]) if below else {layer: share for layer, share in own.items() if share is not None}
        if shares or node is tree.root:
            found[node] = shares
    return found


def _share(layer: int, tally: Tally) -> Share | None:
    """Return what a tally says, None if it comes to nothing: a whiteout of what the layer itself has replaced."""
    share = Share(
        layer,
        added=int(tally.after and not tally.before),
        changed=int(tally.after and tally.before),
        deleted=int(tally.before and not tally.after),
        size=tally.size,
        wasted=tally.wasted,
    )
    return share if share != Share(layer) else None


def _sum(parts: Iterable[Mapping[int, Share | None]]) -> dict[int, Share]:
    total: dict[int, list[int]] = {}
    for part in parts:
        for layer, share in part.items():
            if share is None:
                continue
            sums = total.setdefault(layer, [0] * 5)
            for index, number in enumerate((share.added, share.changed, share.deleted, share.size, share.wasted)):
                sums[index] += number
    return {layer: Share(layer, *sums) for layer, sums in total.items()}


def list_tree(tree: Tree, shares: Mapping[Node, Shares], limit: int) -> tuple[TreeNode, ...]:
    """Return the tree as a list of at most `limit` nodes, parents first, the largest directories opened first.

    Where there is no room for all that is in a directory the largest are listed, and a node that stands for the rest.
    """
    listed = [_listed(tree.root, -1, shares)]
    waiting = [(-_weight(shares[tree.root]), b"", 0, tree.root)]
    while waiting:
        _, _, index, directory = heapq.heappop(waiting)
        children = sorted(
            (child for child in directory.children.values() if child in shares),
            key=lambda child: (-_weight(shares[child]), child.name),
        )
        room = limit - len(listed)
        if not room:
            listed[index] = _closed(listed[index])
            continue
        shown = children if len(children) <= room else children[: room - 1]
        for child in shown:
            if any(grandchild in shares for grandchild in child.children.values()):
                heapq.heappush(waiting, (-_weight(shares[child]), child.path, len(listed), child))
            listed.append(_listed(child, index, shares))
        rest = children[len(shown) :]
        if rest:
            together = _sum(shares[child] for child in rest)
            listed.append(TreeNode(b"", index, NodeKind.REST, _ordered(together), len(rest)))
    return tuple(listed)


def _listed(node: Node, parent: int, shares: Mapping[Node, Shares]) -> TreeNode:
    directory = any(child in shares for child in node.children.values())
    kind = NodeKind.DIRECTORY if directory or node.parent is None else _KINDS.get(node.last, NodeKind.OTHER)
    return TreeNode(node.name, parent, kind, _ordered(shares[node]))


def _closed(node: TreeNode) -> TreeNode:
    return TreeNode(node.name, node.parent, node.kind, node.shares, node.count, closed=True)


def _ordered(shares: Shares) -> tuple[Share, ...]:
    return tuple(shares[layer] for layer in sorted(shares))


def _weight(shares: Shares) -> int:
    return sum(share.size for share in shares.values())
