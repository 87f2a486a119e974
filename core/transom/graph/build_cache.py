"""What is kept of the steps of builds, so that the same step need not be done again.

A *record* is a node of GraphDB of the kind `build`, named by the key of a step: a digest of all that its result depends
on. It refers to the layer that the step made, which so stays with all below it, or to nothing if the step changed no
file. A directory of `RUN --mount=type=cache` is a record too; its files are at `directory`.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from transom import records
from transom.builds import CacheRecord
from transom.errors import Conflict
from transom.graph.content import Descriptor
from transom.graph.db import GraphDB, Node
from transom.graph.digest import Digest, chain_ids
from transom.graph.locks import Locks
from transom.graph.making import NewLayer
from transom.graph.trees import tree_size

__all__ = ["BuildCache", "CachedStep"]

_KIND: Final = "build"
_DIRECTORY: Final = "exec.cachemount"


@dataclass(frozen=True)
class _Record:
    type: str
    description: str
    parents: tuple[str, ...] = ()
    last_used: int | None = None
    usage_count: int = 0
    #: The layer that the step made; None if it made none.
    blob: str = ""
    media_type: str = ""
    blob_size: int = 0
    diff_id: str = ""
    size: int = 0
    made: str = ""
    #: The name of a cache directory.
    directory: str = ""


@dataclass(frozen=True)
class CachedStep:
    """What a step has made: a layer, which is empty if it changed no file, and when, as an RFC 3339 time."""

    layer: NewLayer
    made: str


class BuildCache:
    """All records. Everything here is safe to call from many threads. `root` is for directories of caches."""

    def __init__(self, db: GraphDB, root: Path) -> None:
        self._db = db
        self._root = root
        self._guard = threading.Lock()
        self._users: Counter[str] = Counter()
        self._steps = Locks()

    @contextmanager
    def building(self, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold a key for the length of a `with` block, so that a step that two builds want is done by one of them.

        `waiting` is called often while another has it.
        """
        with self._steps.hold(key, waiting), self._using(key):
            yield

    def find(self, key: str) -> CachedStep | None:
        """Return what a step made, counting the use; None if nothing is kept of it."""
        with self._db.transaction():
            node = self._db.get(_KIND, key)
            if node is None:
                return None
            record = _load(node)
            used = replace(record, last_used=time.time_ns(), usage_count=record.usage_count + 1)
            self._db.put(_KIND, key, records.dump(used), root=True)
        blob = Descriptor(record.media_type, Digest(record.blob), record.blob_size)
        return CachedStep(NewLayer(blob, Digest(record.diff_id), record.size), record.made)

    def add(
        self, key: str, step: CachedStep, diff_ids: tuple[Digest, ...], *, type: str, description: str, parent: str = ""
    ) -> None:
        """Keep what a step made, whose layer is the topmost of `diff_ids` if it is not empty.

        `parent` is the key of the step before. What is kept of the key already stays.
        """
        layer = step.layer
        with self._db.transaction():
            if self._db.get(_KIND, key) is not None:
                return
            record = _Record(
                type,
                description,
                parents=(parent,) if parent and self._db.get(_KIND, parent) is not None else (),
                blob=layer.blob.digest,
                media_type=layer.blob.media_type,
                blob_size=layer.blob.size,
                diff_id=layer.diff_id,
                size=layer.size,
                made=step.made,
            )
            node = self._db.put(_KIND, key, records.dump(record), root=True)
            if not layer.empty:
                self._db.link(node, "caches", self._db.need("blob", layer.blob.digest))
                if known := self._db.get("layer", chain_ids(diff_ids)[-1]):
                    self._db.link(node, "caches", known)

    def forget(self, key: str) -> None:
        """Drop a record, whose layer cannot be used."""
        self._db.remove(_KIND, key)

    # Directories of `RUN --mount=type=cache`

    @contextmanager
    def directory(self, key: str, description: str, *, private: bool = False) -> Iterator[tuple[Path, bool]]:
        """Give the directory of a cache for the length of a `with` block, and whether it is new and empty.

        A `private` one is nobody else's meanwhile: if another is in use, a further one is made, and kept.
        """
        number = 0
        while True:
            name = f"{key}.{number}" if number else key
            with self._guard:
                if not private or not self._users[name]:
                    self._users[name] += 1
                    break
            number += 1
        try:
            yield self._ensure(name, description)
        finally:
            self._release(name)

    @contextmanager
    def locked(self, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the lock of a cache that only one may use at a time."""
        with self._steps.hold(f"directory {key}", waiting):
            yield

    def _ensure(self, name: str, description: str) -> tuple[Path, bool]:
        with self._db.transaction():
            node = self._db.get(_KIND, name)
            if node is None:
                directory = secrets.token_hex(8)
                record = _Record(_DIRECTORY, description, directory=directory)
            else:
                found = _load(node)
                record = replace(found, last_used=time.time_ns(), usage_count=found.usage_count + 1)
            self._db.put(_KIND, name, records.dump(record), root=True)
        path = self._root / record.directory
        self._root.mkdir(mode=0o755, parents=True, exist_ok=True)
        try:
            path.mkdir(mode=0o755)
        except FileExistsError:
            # Also where another step that shares it was quicker, a moment ago.
            return path, False
        path.chmod(0o755)
        return path, True

    # What there is

    def list(self) -> tuple[CacheRecord, ...]:
        """Return all records, in the order of their making."""
        nodes = self._db.list(_KIND)
        shared = self._shared(nodes)
        return tuple(self._describe(node, shared.get(node.name, False)) for node in nodes)

    def remove(self, record: CacheRecord) -> bool:
        """Delete a record with its directory; return False if it is used right now. Its layer goes with the garbage."""
        with self._guard:
            if self._users[record.id]:
                return False
            with self._db.transaction():
                node = self._db.get(_KIND, record.id)
                if node is None:
                    return False
                self._db.remove(_KIND, record.id)
            directory = _load(node).directory
        if directory:
            self._delete(directory)
        return True

    def recover(self) -> None:
        """Called at the engine's start: delete directories that no record names."""
        if not self._root.is_dir():
            return
        known = {_load(node).directory for node in self._db.list(_KIND)}
        for path in self._root.iterdir():
            if path.name not in known:
                self._delete(path.name)

    def _delete(self, directory: str) -> None:
        path = self._root / directory
        if path.exists():
            shutil.rmtree(path, onerror=_raise_unless_gone)

    def _describe(self, node: Node, shared: bool) -> CacheRecord:
        record = _load(node)
        return CacheRecord(
            id=node.name,
            type=record.type,
            description=record.description,
            created=node.created,
            parents=record.parents,
            last_used=record.last_used,
            usage_count=record.usage_count,
            size=tree_size(self._root / record.directory) if record.directory else record.size,
            shared=shared,
            in_use=self._users[node.name] > 0,
        )

    def _shared(self, nodes: tuple[Node, ...]) -> Mapping[str, bool]:
        """Return which records have a layer that an image has too."""
        with self._db.transaction():
            return {
                node.name: any(
                    user.kind == "image"
                    for target in self._db.targets(node, "caches")
                    for user in self._db.sources(target, "layer")
                )
                for node in nodes
            }

    @contextmanager
    def _using(self, key: str) -> Iterator[None]:
        with self._guard:
            self._users[key] += 1
        try:
            yield
        finally:
            self._release(key)

    def _release(self, key: str) -> None:
        with self._guard:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key]


def _load(node: Node) -> _Record:
    return records.load(_Record, node.data)


def _raise_unless_gone(_function: object, path: str, error: tuple[type, BaseException, object]) -> None:
    if not isinstance(error[1], FileNotFoundError):
        raise Conflict(f"cannot delete {path} of the build cache: {error[1]}") from error[1]
