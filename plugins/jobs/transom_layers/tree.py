"""The files of an image while its layers come on top of each other, and what becomes of each version of them.

Nothing is unpacked: names are resolved in memory, as unpacking would resolve them (`transom.graph.extract`,
`transom.graph.directories`), so that a layer which writes through a symbolic link of a lower one, or deletes what it
has itself, means the same here.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from transom.errors import CorruptContent, Unsupported
from transom.graph.archive import Data, Entry, Kind, shown
from transom.graph.directories import clean
from transom.graph.whiteouts import AUFS_PREFIX, OPAQUE_NAME, PREFIX, hidden_name

__all__ = ["Hiding", "Node", "Tally", "Tree", "Version"]

#: Entries of all layers, so that an archive made to fill the memory does not. The largest images have a tenth of it.
_MOST_ENTRIES: Final = 5_000_000
#: What the kernel takes as a path (limits.h, PATH_MAX) and how many symbolic links it follows on the way.
_LONGEST_PATH: Final = 4095
_MOST_LINKS: Final = 40
#: Bytes that are kept of the digest by which contents are compared.
_DIGEST: Final = 16


@dataclass(slots=True)
class Tally:
    """What one layer has to do with one path that is no directory.

    `before` says whether there was such a thing before the layer, `after` whether there is at its end. `size` is the
    bytes that it stores, `wasted` those that a later entry hides.
    """

    before: bool
    after: bool = False
    size: int = 0
    wasted: int = 0


class Node:
    """A path that some layer has, or had. `kind` is None while nothing is there."""

    __slots__ = ("children", "kind", "last", "layer", "name", "parent", "tallies", "version")

    def __init__(self, name: bytes, parent: Node | None) -> None:
        self.name = name
        self.parent = parent
        self.kind: Kind | None = None
        #: What was there last.
        self.last = Kind.DIRECTORY
        #: The layer that put there what is there.
        self.layer = 0
        self.version: Version | None = None
        self.children: dict[bytes, Node] = {}
        self.tallies: dict[int, Tally] = {}

    @property
    def path(self) -> bytes:
        """The path, relative to the root."""
        parts: list[bytes] = []
        node = self
        while node.parent is not None:
            parts.append(node.name)
            node = node.parent
        return b"/".join(reversed(parts))

    def child(self, name: bytes) -> Node:
        """Return the node of a name in this directory."""
        found = self.children.get(name)
        if found is None:
            found = self.children[name] = Node(name, self)
        return found

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it, parents first."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.children.values())


@dataclass(slots=True, eq=False)
class Version:
    """What a layer stores under a name, `node`, and under how many names it is there.

    `content` is a digest of a file's content, the target of a symbolic link, or empty; `mtime` is in nanoseconds.
    """

    node: Node
    layer: int
    kind: Kind
    size: int
    content: bytes
    owner: tuple[int, int]
    mode: int
    mtime: int
    names: int = 1


@dataclass(slots=True)
class Hiding:
    """A version that nothing shows any more: what hid it, and where.

    `root` is the directory that was deleted or replaced with all below it, None for a file by itself. `successor` is
    what took the version's own place, if something did.
    """

    version: Version
    layer: int
    root: Node | None
    deleted: bool
    successor: Version | None = None


@dataclass(slots=True)
class Marks:
    """How many files and directories a layer deletes by a whiteout each, and how many directories it empties."""

    whiteouts: int = 0
    opaque: int = 0


@dataclass
class Tree:
    """The tree. Call `begin` for each layer, then `put` for each of its entries."""

    root: Node = field(default_factory=lambda: Node(b"", None))
    #: The present layer.
    layer: int = 0
    versions: list[Version] = field(default_factory=list)
    hidings: list[Hiding] = field(default_factory=list)
    marks: dict[int, Marks] = field(default_factory=dict)
    _directories: dict[bytes, Node] = field(default_factory=dict)
    _touched: list[Node] = field(default_factory=list)
    _entries: int = 0

    def __post_init__(self) -> None:
        self.root.kind = Kind.DIRECTORY

    def begin(self, layer: int) -> None:
        """Begin a layer, which lies on top of those before."""
        self.finish()
        self.layer = layer
        self.marks[layer] = Marks()

    def finish(self) -> None:
        """End the present layer."""
        for node in self._touched:
            node.tallies[self.layer].after = node.kind is not None and node.kind is not Kind.DIRECTORY
        self._touched.clear()

    def put(self, entry: Entry) -> None:
        """Take in an entry of the present layer. Raises `CorruptContent`, and `Unsupported` for too many."""
        self._entries += 1
        if self._entries > _MOST_ENTRIES:
            raise Unsupported(f"cannot look through the image's layers: they have more than {_MOST_ENTRIES} entries")
        path = clean(entry.name)
        if len(path) > _LONGEST_PATH:
            raise CorruptContent(f"the archive has an entry {shown(path)!r} whose name is too long")
        if not path:
            return
        above, _, name = path.rpartition(b"/")
        if path.startswith(AUFS_PREFIX) and path != OPAQUE_NAME:
            return
        if name.startswith(PREFIX):
            self._whiteout(self._find(above), name)
        elif entry.kind is Kind.DIRECTORY:
            self._become_directory(self._place(above, name, entry.kind))
        elif entry.kind is Kind.HARD_LINK:
            version = self._linked(entry)
            # One more name before what is there makes way, in case that is the last one.
            version.names += 1
            self._show(self._place(above, name, entry.kind), version)
        else:
            self._put_version(self._place(above, name, entry.kind), entry)

    def _place(self, above: bytes, name: bytes, kind: Kind) -> Node:
        """Return where an entry of this kind goes, when what would lead elsewhere, or has something in it, made way."""
        node = self._find(above).child(name)
        if node.kind is Kind.SYMLINK:
            self._remove(node, None, deleted=False)
        elif node.kind is Kind.DIRECTORY and kind is not Kind.DIRECTORY:
            self._hide_below(node, deleted=False)
            node.kind = None
        else:
            return node
        return self._find(above).child(name)

    def _version(self, node: Node, entry: Entry) -> Version:
        size, content = entry.size, b""
        if entry.kind is Kind.SYMLINK:
            size, content = len(entry.link), entry.link
        elif entry.content is not None and size:
            content = _digest(entry.content)
        return Version(node, self.layer, entry.kind, size, content, (entry.uid, entry.gid), entry.mode, entry.mtime)

    def _linked(self, entry: Entry) -> Version:
        """Return the version that a hard link is one more name of."""
        above, _, name = clean(entry.link).rpartition(b"/")
        target = self._find(above).children.get(name)
        if target is None or target.version is None:
            raise CorruptContent(
                f"the archive has an entry {shown(entry.name)!r} that is another name of {shown(entry.link)!r},"
                " which is not there"
            )
        return target.version

    def _put_version(self, node: Node, entry: Entry) -> None:
        version = self._version(node, entry)
        self._touch(node).size += version.size
        self.versions.append(version)
        self._show(node, version)

    def _show(self, node: Node, version: Version) -> None:
        """Let a version be what is at a path, in place of the file that was there."""
        self._touch(node)
        self._release(node, None, deleted=False, successor=version)
        node.kind = node.last = version.kind
        node.layer = self.layer
        node.version = version

    def _become_directory(self, node: Node) -> None:
        if node.kind is not Kind.DIRECTORY:
            if node.kind is not None:
                self._touch(node)
            self._release(node, None, deleted=False)
            node.kind = node.last = Kind.DIRECTORY
        node.layer = self.layer

    def _whiteout(self, directory: Node, whiteout: bytes) -> None:
        hidden = hidden_name(whiteout)
        if hidden is None:
            return
        if not hidden:
            self.marks[self.layer].opaque += 1
            self._hide_below(directory, deleted=True, keep=True)
            return
        self.marks[self.layer].whiteouts += 1
        node = directory.children.get(hidden)
        if node is None or node.kind is None:
            return
        if node.kind is Kind.DIRECTORY:
            self._hide_below(node, deleted=True, keep=True)
            if node.layer != self.layer and not any(child.kind for child in node.children.values()):
                node.kind = None
        elif node.layer != self.layer:
            self._remove(node, None, deleted=True)

    def _hide_below(self, root: Node, *, deleted: bool, keep: bool = False) -> None:
        """Hide all that is in a directory; with `keep` what the present layer has put there stays."""
        for node in reversed(list(root.walk())):
            if node is root or node.kind is None or (keep and node.layer == self.layer):
                continue
            if node.kind is not Kind.DIRECTORY:
                self._remove(node, root, deleted)
            elif not any(child.kind for child in node.children.values()):
                node.kind = None
        self._directories.clear()

    def _remove(self, node: Node, root: Node | None, deleted: bool) -> None:
        self._touch(node)
        self._release(node, root, deleted=deleted)
        node.kind = None

    def _release(self, node: Node, root: Node | None, *, deleted: bool, successor: Version | None = None) -> None:
        """Take its version from a name. One that has no other name is hidden from here on."""
        version, node.version = node.version, None
        if node.kind is Kind.SYMLINK:
            self._directories.clear()
        if version is None:
            return
        version.names -= 1
        if not version.names:
            version.node.tallies[version.layer].wasted += version.size
            self.hidings.append(Hiding(version, self.layer, root, deleted, successor))

    def _touch(self, node: Node) -> Tally:
        """Return the present layer's tally of a path, begun before the layer does anything to it."""
        tally = node.tallies.get(self.layer)
        if tally is None:
            tally = node.tallies[self.layer] = Tally(node.kind is not None and node.kind is not Kind.DIRECTORY)
            self._touched.append(node)
        return tally

    def _find(self, path: bytes) -> Node:
        """Return the directory of a clean path, made where it is missing; symbolic links on the way are followed."""
        found = self._directories.get(path)
        if found is None:
            found = self._directories[path] = self._descend(path)
        return found

    def _descend(self, path: bytes) -> Node:
        node, links = self.root, 0
        left = deque(_parts(path))
        while left:
            part = left.popleft()
            if part == b"..":
                node = node.parent or node
                continue
            below = node.child(part)
            if below.kind is Kind.SYMLINK and below.version is not None:
                links += 1
                if links > _MOST_LINKS:
                    raise CorruptContent(f"the archive has an entry in {shown(path)!r}: too many symbolic links")
                target = below.version.content
                left.extendleft(reversed(_parts(target)))
                node = self.root if target.startswith(b"/") else node
                continue
            if below.kind is not Kind.DIRECTORY:
                self._become_directory(below)
            node = below
        return node


def _parts(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")]


def _digest(content: Data) -> bytes:
    """Return a digest of a file's data and of where it is."""
    found = hashlib.sha256(repr(content.segments).encode())
    for _, piece in content.pieces():
        found.update(piece)
    return found.digest()[:_DIGEST]
