"""A union that is compared with what was changed on top of it, without being mounted."""

from __future__ import annotations

import errno
import os

from transom_fuse.union import Directory, Node, Tree
from transom_fuse.union.failures import failure

__all__ = ["Lower"]


class Lower:
    """A `transom.graph.comparison.ComparedTree`."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._current: Directory | None = tree.root

    def enter(self, path: bytes) -> None:
        self._current = self._tree.root
        for name in path.split(b"/") if path else ():
            found = self._find(name)
            self._current = found if isinstance(found, Directory) else None

    def names(self) -> set[bytes]:
        return set() if self._current is None else {name for name, _, _ in self._tree.entries(self._current)}

    def status(self, name: bytes) -> os.stat_result | None:
        node = self._find(name)
        return None if node is None else self._tree.status(node)

    def attributes(self, name: bytes) -> dict[bytes, bytes]:
        node = self._find(name)
        return {} if node is None else {each: self._tree.attribute(node, each) for each in self._tree.attributes(node)}

    def link(self, name: bytes) -> bytes:
        return self._tree.read_link(self._there(name))

    def open(self, name: bytes) -> int:
        handle = self._tree.open(self._there(name), os.O_RDONLY)
        self._tree.release(handle.node)
        return handle.descriptor

    def _there(self, name: bytes) -> Node:
        if self._current is None:
            raise failure(errno.ENOENT)
        return self._tree.lookup(self._current, name)

    def _find(self, name: bytes) -> Node | None:
        if self._current is None or name == b".":
            return self._current
        try:
            return self._tree.lookup(self._current, name)
        except FileNotFoundError:
            return None
