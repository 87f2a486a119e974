"""GraphDB: what there is (nodes) and how it hangs together (edges), in one SQLite database.

A node is an entity of a *kind*, with a *name* that no other of its kind has, and data. An edge is a named
*relation* from one node to another. What no *root* node reaches along edges any more is garbage.

    kind       name                                  root   relations to others
    image      image ID                              yes    layer (by position), config and manifest (blobs),
                                                            parent (an image)
    tag        docker.io/library/busybox:latest      yes    names (an image)
    digest     docker.io/library/busybox@sha256:…    yes    names (an image)
    layer      chain ID                              no     parent (a layer), blob, unpacked (snapshots)
    blob       digest                                no
    snapshot   <graph driver>/<layer>                (1)    parent (a snapshot)
    container  container ID                          yes    name, uses (an image, a snapshot, volumes)
    name       container name                        no
    volume     volume name                           yes
    network    network ID                            yes
    address    <network ID>/<address>                yes
    lease      what for                              yes    keeps (layers, blobs)
    build      key of a step of a build              yes    caches (a layer, a blob)

(1) a container's own one is.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from transom.errors import Conflict, CorruptContent, NotFound, StorageFull, TransomError, Unavailable
from transom.graph.space import Reserve

__all__ = ["GraphDB", "Node"]

_VERSION: Final = 1
_SCHEMA: Final = (
    """
    CREATE TABLE nodes (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        data TEXT NOT NULL,
        root INTEGER NOT NULL,
        created INTEGER NOT NULL,
        UNIQUE (kind, name)
    ) STRICT
    """,
    """
    CREATE TABLE edges (
        source INTEGER NOT NULL REFERENCES nodes ON DELETE CASCADE,
        relation TEXT NOT NULL,
        position INTEGER NOT NULL,
        target INTEGER NOT NULL REFERENCES nodes ON DELETE CASCADE,
        PRIMARY KEY (source, relation, position, target)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX edges_by_target ON edges (target, relation, source)",
    f"PRAGMA user_version = {_VERSION}",
)

_COLUMNS: Final = "nodes.id, kind, name, data, root, created"
_GARBAGE: Final = f"""
    WITH RECURSIVE reached (id) AS (
        SELECT id FROM nodes WHERE root
        UNION
        SELECT target FROM edges JOIN reached ON source = reached.id
    )
    SELECT {_COLUMNS} FROM nodes WHERE id NOT IN reached ORDER BY id
    """


@dataclass(frozen=True, slots=True)
class Node:
    """One entity. `data` is a JSON value, made by `transom.records.dump`; `created` is in nanoseconds."""

    id: int
    kind: str
    name: str
    data: Any
    root: bool
    created: int


class GraphDB:
    """The database at a path, made if it is not there. Safe to use from many threads; they take turns.

    Every method raises `CorruptContent` if the file is damaged, `StorageFull` where there is no space,
    `Unavailable` where the database cannot be read or written; opening it raises `Conflict` if a newer
    version of the engine wrote it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._open = False
        self._durable = False
        self._reserve = Reserve(path.with_name(f"{path.name}-reserve"))
        with self._errors():
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            self._execute(f"PRAGMA {pragma}")
        damage = self._execute("PRAGMA quick_check(1)")[0][0]
        if damage != "ok":
            raise self._corrupt(damage)
        version = self._execute("PRAGMA user_version")[0][0]
        if version > _VERSION:
            raise Conflict(
                f"the database {self._path} was written by a newer version of Transom (schema {version};"
                f" this one knows {_VERSION}): use that version, or another data root"
            )
        if version == 0:
            with self.transaction(durable=True):
                for statement in _SCHEMA:
                    self._execute(statement)

    def close(self) -> None:
        """Close the database."""
        with self._lock, self._errors():
            self._connection.close()

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """Do all that happens in the `with` block, or nothing of it if the block raises.

        Every transaction survives `kill -9`; a `durable` one has reached the disk when it returns and so
        survives a power cut, as do all that came before it. An inner block joins the outer one, which has to
        be durable if the inner one is.
        """
        with self._lock:
            if self._open:
                if durable and not self._durable:
                    raise RuntimeError("a durable transaction inside one that is not")
                yield
                return
            if durable:
                self._execute("PRAGMA synchronous = FULL")
            self._execute("BEGIN IMMEDIATE")
            self._open, self._durable = True, durable
            try:
                yield
                self._execute("COMMIT")
            except BaseException:
                # SQLite itself has rolled back after some errors, a full disk for one.
                if self._connection.in_transaction:
                    self._execute("ROLLBACK")
                raise
            finally:
                self._open = False
                if durable:
                    self._execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def freeing(self) -> Iterator[None]:
        """Let the `with` block use space that is held back for it, since it ends or removes something.

        On a full disk, what would free it could not be recorded otherwise.
        """
        self._reserve.release()
        try:
            yield
        finally:
            self._reserve.fill()

    # Nodes

    def put(self, kind: str, name: str, data: Any = None, *, root: bool = False) -> Node:
        """Make a node, or give the one of that kind and name this data and `root`; edges and time stay."""
        rows = self._execute(
            "INSERT INTO nodes (kind, name, data, root, created) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (kind, name) DO UPDATE SET data = excluded.data, root = excluded.root"
            f" RETURNING {_COLUMNS}",
            (kind, name, orjson.dumps(data).decode(), root, time.time_ns()),
        )
        return _node(rows[0])

    def get(self, kind: str, name: str) -> Node | None:
        """Return the node of a kind and name, or None if there is none."""
        rows = self._execute(f"SELECT {_COLUMNS} FROM nodes WHERE kind = ? AND name = ?", (kind, name))
        return _node(rows[0]) if rows else None

    def need(self, kind: str, name: str) -> Node:
        """Return the node of a kind and name. Raises `NotFound` if there is none."""
        node = self.get(kind, name)
        if node is None:
            raise NotFound(f"No such {kind}: {name}")
        return node

    def find(self, kind: str, prefix: str) -> tuple[Node, ...]:
        """Return the nodes of a kind whose names begin with `prefix`, in the order of their names."""
        return self._nodes(
            "WHERE kind = ? AND name >= ? AND substr(name, 1, ?) = ? ORDER BY name",
            (kind, prefix, len(prefix), prefix),
        )

    def list(self, kind: str) -> tuple[Node, ...]:
        """Return all nodes of a kind, in the order of their making."""
        return self._nodes("WHERE kind = ? ORDER BY nodes.id", (kind,))

    def remove(self, kind: str, name: str) -> bool:
        """Delete a node with the edges from and to it, and return whether there was one."""
        rows = self._execute("DELETE FROM nodes WHERE kind = ? AND name = ? RETURNING id", (kind, name))
        return bool(rows)

    # Edges

    def link(self, source: Node, relation: str, target: Node, position: int = 0) -> None:
        """Make an edge; making it twice is harmless."""
        self._execute(
            "INSERT INTO edges (source, relation, position, target) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (source.id, relation, position, target.id),
        )

    def unlink(self, source: Node, relation: str, target: Node | None = None) -> None:
        """Delete the edges of a relation from a node, all of them or those to one target."""
        only = None if target is None else target.id
        self._execute(
            "DELETE FROM edges WHERE source = ?1 AND relation = ?2 AND (?3 IS NULL OR target = ?3)",
            (source.id, relation, only),
        )

    def targets(self, node: Node, relation: str) -> tuple[Node, ...]:
        """Return the nodes that edges of a relation from a node lead to, in the order of their positions."""
        return self._nodes(
            "JOIN edges ON target = nodes.id WHERE source = ? AND relation = ? ORDER BY position, nodes.id",
            (node.id, relation),
        )

    def sources(self, node: Node, relation: str) -> tuple[Node, ...]:
        """Return the nodes from which edges of a relation lead to a node, in the order of their making."""
        return self._nodes(
            "WHERE id IN (SELECT source FROM edges WHERE target = ? AND relation = ?) ORDER BY nodes.id",
            (node.id, relation),
        )

    # Garbage

    def garbage(self) -> tuple[Node, ...]:
        """Return the nodes that no root reaches, in the order of their making."""
        return tuple(_node(row) for row in self._execute(_GARBAGE))

    def collect(self, leave: Collection[str] = ()) -> tuple[Node, ...]:
        """Delete the nodes that no root reaches, except those of the kinds in `leave`, and return them."""
        with self.transaction():
            nodes = tuple(node for node in self.garbage() if node.kind not in leave)
            for node in nodes:
                self._execute("DELETE FROM nodes WHERE id = ?", (node.id,))
        return nodes

    # Statements

    def _nodes(self, clauses: str, parameters: Sequence[Any]) -> tuple[Node, ...]:
        return tuple(_node(row) for row in self._execute(f"SELECT {_COLUMNS} FROM nodes {clauses}", parameters))

    def _execute(self, statement: str, parameters: Sequence[Any] = ()) -> Sequence[Any]:
        with self._lock, self._errors():
            return self._connection.execute(statement, parameters).fetchall()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what SQLite raises about the file or the disk into an error that says what to do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise self._explain(error) from error

    def _explain(self, error: sqlite3.DatabaseError) -> TransomError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return self._corrupt(error)
        if code == sqlite3.SQLITE_FULL:
            return StorageFull(
                f"cannot write the database {self._path}: no space left on device: free some and try again"
            )
        return Unavailable(f"cannot use the database {self._path}: {error}")

    def _corrupt(self, what: object) -> CorruptContent:
        return CorruptContent(
            f"the database {self._path} is damaged ({what}): restore it from a backup, or move it away to start anew"
        )


def _node(row: tuple[int, str, str, str, int, int]) -> Node:
    number, kind, name, data, root, created = row
    return Node(number, kind, name, orjson.loads(data), bool(root), created)
