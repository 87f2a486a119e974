"""GraphDB: what there is (nodes) and how it hangs together (edges), in one SQLite database.

A node is an entity of a *kind*, with a *name* that no other of its kind has, and data. An edge is a named
*relation* from one node to another. What no *root* node reaches along edges any more is garbage.

    kind       name                                  root   relations to others
    image      image ID                              yes    layer (position) to layers, config and manifest to blobs
    tag        docker.io/library/busybox:latest      yes    names to an image
    digest     docker.io/library/busybox@sha256:…    yes    names to an image
    layer      chain ID                              no     parent to a layer, blob to a blob, unpacked to snapshots
    blob       digest                                no
    snapshot   <graph driver>/<layer>                (1)    parent to a snapshot
    container  container ID                          yes    uses to an image, a snapshot, volumes
    name       container name                        yes    names to a container
    volume     volume name                           yes
    lease      what for                              yes    keeps to layers, blobs

(1) a container's own one is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["GraphDB", "Node"]


@dataclass(frozen=True, slots=True)
class Node:
    """One entity. `data` is a JSON value, made by `transom.records.dump`; `created` is in nanoseconds since the epoch."""

    id: int
    kind: str
    name: str
    data: Any
    root: bool
    created: int


class GraphDB:
    """The database at a path, made if it is not there. Safe to use from many threads; they take turns.

    Raises `CorruptContent` if the file is damaged, `Conflict` if a newer version of the engine wrote it, and
    `StorageFull` where there is no space.
    """

    def __init__(self, path: Path) -> None: ...

    def close(self) -> None:
        """Close the database."""

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """Do all that happens in the `with` block, or nothing of it if the block raises.

        Every transaction survives `kill -9`; a `durable` one has reached the disk when it returns and so survives
        a power cut, as do all that came before it. An inner block joins the outer one, which has to be durable
        if the inner one is.
        """
        ...

    def put(self, kind: str, name: str, data: Any = None, *, root: bool = False) -> Node:
        """Make a node, or give the one of that kind and name other data and another `root`; edges and time stay."""
        ...

    def get(self, kind: str, name: str) -> Node | None:
        """Return the node of a kind and name, or None if there is none."""
        ...

    def find(self, kind: str, prefix: str) -> tuple[Node, ...]:
        """Return the nodes of a kind whose names begin with `prefix`, in the order of their names."""
        ...

    def list(self, kind: str) -> tuple[Node, ...]:
        """Return all nodes of a kind, in the order of their making."""
        ...

    def remove(self, kind: str, name: str) -> bool:
        """Delete a node with the edges from and to it, and return whether there was one."""
        ...

    def link(self, source: Node, relation: str, target: Node, position: int = 0) -> None:
        """Make an edge; making it twice is harmless."""

    def unlink(self, source: Node, relation: str, target: Node | None = None) -> None:
        """Delete the edges of a relation from a node, all of them or those to one target."""

    def targets(self, node: Node, relation: str) -> tuple[Node, ...]:
        """Return the nodes that the edges of a relation from a node lead to, in the order of their positions."""
        ...

    def sources(self, node: Node, relation: str) -> tuple[Node, ...]:
        """Return the nodes from which edges of a relation lead to a node, in the order of their making."""
        ...

    def garbage(self) -> tuple[Node, ...]:
        """Return the nodes that no root reaches."""
        ...

    def collect(self, leave: Collection[str] = ()) -> tuple[Node, ...]:
        """Delete the nodes that no root reaches, except those of the kinds in `leave`, and return them."""
        ...
