"""Which graph driver has which layer, as the database knows it."""

from __future__ import annotations

import graphlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from transom import records
from transom.errors import Conflict, NotFound
from transom.graph.db import GraphDB, Node
from transom.graph.digest import Digest

__all__ = ["Snapshot", "Snapshots"]


@dataclass(frozen=True)
class Snapshot:
    """One layer in one graph driver.

    It is `ready` when it is complete and flushed to the disk, and `writable` if it is a container's own.
    `size` is the bytes of the regular files that it was unpacked from.
    """

    driver: str
    layer: str
    parent: str | None
    writable: bool = False
    ready: bool = False
    size: int = 0

    @property
    def name(self) -> str:
        """Its name in the database."""
        return f"{self.driver}/{self.layer}"

    @property
    def parent_name(self) -> str | None:
        """The name of what it stands on."""
        return None if self.parent is None else f"{self.driver}/{self.parent}"


class Snapshots:
    """The records of all snapshots. A writable one is a root of the database until its removal.

    `complete` are the names of those that are whole, and only not flushed to the disk yet.
    """

    def __init__(self, db: GraphDB, complete: Collection[str] = ()) -> None:
        self._db = db
        self._complete = complete

    def list(self) -> tuple[Snapshot, ...]:
        """Return all snapshots, in the order of their making."""
        return tuple(_snapshot(node) for node in self._db.list("snapshot"))

    def find(self, driver: str, layer: str) -> Snapshot | None:
        """Return the snapshot of a layer, or None if none is recorded."""
        node = self._db.get("snapshot", f"{driver}/{layer}")
        return None if node is None else _snapshot(node)

    def get(self, driver: str, layer: str) -> Snapshot:
        """Return the snapshot of a layer. Raises `NotFound` if there is none, or it is not whole."""
        snapshot = self.find(driver, layer)
        if snapshot is None or not (snapshot.ready or snapshot.name in self._complete):
            raise NotFound(f"the graph driver {driver} has no layer {layer}: it was removed meanwhile, try again")
        return snapshot

    def add(self, snapshot: Snapshot) -> None:
        """Record a container's snapshot. Raises `Conflict` if there is one, `NotFound` without its parent."""
        with self._db.transaction():
            if self.find(snapshot.driver, snapshot.layer) is not None:
                raise Conflict(f"the container {snapshot.layer} has a layer already")
            node = self.put(snapshot)
            if snapshot.parent is not None:
                parent = self.get(snapshot.driver, snapshot.parent)
                self._db.link(node, "parent", self._db.need("snapshot", parent.name))

    def put(self, snapshot: Snapshot) -> Node:
        """Record the state of a snapshot."""
        return self._db.put("snapshot", snapshot.name, records.dump(snapshot), root=snapshot.writable)

    def record(self, driver: str, chain: Sequence[Digest], index: int, blob: Digest) -> tuple[Node, Snapshot]:
        """Record the layer `chain[index]` of an image, its snapshot, what they stand on and are made from.

        Returns the layer's node and the snapshot. What is recorded already stays as it is. Raises `NotFound`
        if the blob is not recorded.
        """
        with self._db.transaction():
            layer, snapshot = self._pair(driver, chain, index)
            self._db.link(layer, "blob", self._db.need("blob", blob))
            if index:
                layer_below, snapshot_below = self._pair(driver, chain, index - 1)
                self._db.link(layer, "parent", layer_below)
                self._db.link(snapshot, "parent", snapshot_below)
        return layer, _snapshot(snapshot)

    def _pair(self, driver: str, chain: Sequence[Digest], index: int) -> tuple[Node, Node]:
        snapshot = Snapshot(driver, chain[index].hex, chain[index - 1].hex if index else None)
        layer_node = self._db.get("layer", chain[index]) or self._db.put("layer", chain[index])
        snapshot_node = self._db.get("snapshot", snapshot.name) or self.put(snapshot)
        self._db.link(layer_node, "unpacked", snapshot_node)
        return layer_node, snapshot_node

    def remove(self, snapshot: Snapshot) -> None:
        """Forget a snapshot."""
        self._db.remove("snapshot", snapshot.name)

    def garbage(self) -> tuple[Snapshot, ...]:
        """Return the snapshots that nothing refers to, children before their parents."""
        garbage = {node.name: _snapshot(node) for node in self._db.garbage() if node.kind == "snapshot"}
        order: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
        for name, snapshot in garbage.items():
            order.add(name)
            if snapshot.parent_name in garbage:
                order.add(snapshot.parent_name, name)
        return tuple(garbage[name] for name in order.static_order())

    def condemn(self, snapshot: Snapshot) -> bool:
        """Make a snapshot not ready, so that nothing relies on it, if it is garbage and has no children.

        Returns whether it is.
        """
        with self._db.transaction():
            node = self._db.get("snapshot", snapshot.name)
            if node is None or node not in self._db.garbage() or self._db.sources(node, "parent"):
                return False
            self.put(replace(snapshot, ready=False))
        return True


def _snapshot(node: Node) -> Snapshot:
    return records.load(Snapshot, node.data)
