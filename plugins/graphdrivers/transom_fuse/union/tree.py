"""Reading a union: what it shows."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from transom_fuse.union.descriptors import Descriptors
from transom_fuse.union.failures import failure
from transom_fuse.union.format import is_opaque, is_own_attribute
from transom_fuse.union.handles import Handle
from transom_fuse.union.nodes import LISTED, UPPER, Directory, Listed, Node

__all__ = ["Tree"]

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: What of an open(2)'s flags reaches the file in its layer.
_FLAGS = os.O_ACCMODE | os.O_TRUNC | os.O_APPEND | os.O_SYNC | os.O_DSYNC
_ALWAYS = os.O_NOFOLLOW | os.O_CLOEXEC
#: File systems beyond the first have their inode numbers in a space of their own.
_DEVICE_SHIFT = 56
#: Bytes of a name (NAME_MAX).
_LONGEST = 255
#: Names that are kept in memory, and directories that are read before some are forgotten: a few may be larger.
_MOST_KNOWN = 50_000
_MANY_READ = 64


class Tree:
    """The layers `lower`, topmost first, below `upper`, if there is one. For one thread.

    Nodes that it gives are the caller's to keep until `trim`, and beyond while they are held: what is removed from the
    tree has no names any more. Directories of layers that somebody else changes are shown as they are or as they were.
    Up to `most_open` directories are kept open, besides the layers' roots.
    """

    def __init__(self, lower: Sequence[Path], upper: Path | None, *, most_open: int = 512) -> None:
        first = 0 if upper is not None else 1
        paths = [*((upper,) if upper is not None else ()), *lower]
        roots: dict[int, int] = {}
        try:
            for number, path in enumerate(paths, first):
                roots[number] = os.open(path, _OPEN)
                if is_opaque(roots[number]):
                    break
            devices = {number: os.fstat(descriptor).st_dev for number, descriptor in roots.items()}
            top = os.fstat(roots[first])
        except OSError:
            for descriptor in roots.values():
                os.close(descriptor)
            raise
        known = list(dict.fromkeys(devices.values()))
        self._spaces = {number: known.index(device) << _DEVICE_SHIFT for number, device in devices.items()}
        self.root = Directory(top.st_ino, tuple(roots))
        self._descriptors = Descriptors(self.root, roots, most_open)
        #: Files of the upper layer that were looked up, by inode number: names of one file are one node.
        self._files: dict[int, Node] = {}
        #: Whether `trim` would help.
        self.crowded = False
        #: Directories that were read, those first that were read first, and how many since `trim`; names in them.
        self._listed_directories: dict[Directory, None] = {}
        self._reads = self._known = 0

    def close(self) -> None:
        """Close all directories. Handles are the caller's to close before."""
        self._descriptors.close()

    # Names

    def lookup(self, directory: Directory, name: bytes) -> Node:
        """Return what has a name in a directory. Raises `FileNotFoundError`."""
        known = directory.children.get(name)
        if known is not None:
            return known
        listed = self._listed(directory, name)
        if listed is None:
            if len(name) > _LONGEST:
                raise failure(errno.ENAMETOOLONG)
            raise failure(errno.ENOENT)
        kind, ino, layers = listed
        node: Node | None
        if kind == stat.S_IFDIR:
            node = Directory(ino, layers)
        elif layers[0] == UPPER:
            node = self._files.get(ino)
            if node is None:
                node = self._files[ino] = Node(kind, ino, UPPER)
        else:
            node = Node(kind, ino, layers[0])
        node.names.append((directory, name))
        directory.children[name] = node
        if isinstance(node, Directory) and len(layers) > 1:
            node.layers = tuple(self._merged(node))
        return node

    def entries(self, directory: Directory) -> list[tuple[bytes, int, int]]:
        """Return names, types (stat.S_IFMT) and inode numbers of what is in a directory, without `.` and `..`."""
        upper = self._read(directory)
        hidden = directory.hidden
        listed = [(name, kind, ino) for name, (kind, ino, _) in upper.items()]
        if directory.lower:
            listed += [
                (name, kind, ino)
                for name, (kind, ino, _) in directory.lower.items()
                if name not in upper and name not in hidden
            ]
        children = directory.children
        return [(name, kind, children[name].ino if name in children else ino) for name, kind, ino in listed]

    def is_empty(self, directory: Directory) -> bool:
        """Return whether a directory shows nothing."""
        upper = self._read(directory)
        return not upper and not any(name not in directory.hidden for name in directory.lower)

    # Files

    def status(self, node: Node) -> os.stat_result:
        """Return the status of a node's file in its layer, whose `st_ino` and `st_nlink` need not be the node's."""
        if node.held >= 0:
            return os.fstat(node.held)
        if not node.names:
            if isinstance(node, Directory):
                return os.fstat(self._descriptors.find(node, node.layer))
            raise failure(errno.ENOENT)
        directory, name = node.names[0]
        return os.stat(name, dir_fd=self._descriptors.find(directory, node.layer), follow_symlinks=False)

    def link_count(self, node: Node, status: os.stat_result) -> int:
        """Return how many names a node has. A merged directory says 1, which means that nobody counted."""
        if isinstance(node, Directory) and len(node.layers) > 1:
            return 1
        # A name in a layer below is there when it was removed, too.
        return status.st_nlink - 1 if node.held >= 0 and node.layer != UPPER else status.st_nlink

    def read_link(self, node: Node) -> bytes:
        """Return where a symbolic link leads to."""
        if node.held >= 0:
            return os.readlink(b"", dir_fd=node.held)
        directory, name = node.names[0]
        return os.readlink(name, dir_fd=self._descriptors.find(directory, node.layer))

    def attributes(self, node: Node) -> list[bytes]:
        """Return the names of a file's extended attributes."""
        path, follow = self._path(node)
        names = map(os.fsencode, os.listxattr(path, follow_symlinks=follow))
        return [name for name in names if not is_own_attribute(name)]

    def attribute(self, node: Node, name: bytes) -> bytes:
        """Return the value of an extended attribute."""
        if is_own_attribute(name):
            raise failure(errno.EOPNOTSUPP)
        path, follow = self._path(node)
        return os.getxattr(path, name, follow_symlinks=follow)

    def space(self) -> os.statvfs_result:
        """Return what the file system of the topmost layer has left (statvfs(3))."""
        return os.fstatvfs(self._descriptors.find(self.root, self.root.layers[0]))

    def open(self, node: Node, flags: int) -> Handle:
        """Open a regular file, which must be closed by `close_handle`."""
        handle = Handle(node, self._open(node, flags), self._open)
        self.hold(node)
        return handle

    def close_handle(self, handle: Handle) -> None:
        """Close what `open` has opened."""
        os.close(handle.descriptor)
        self.release(handle.node)

    def hold(self, node: Node) -> None:
        """Keep a node usable after its last name is removed, until `release`."""
        node.uses += 1

    def release(self, node: Node) -> None:
        """Undo `hold`."""
        node.uses -= 1
        if not node.uses and node.held >= 0:
            os.close(node.held)
            node.held = -1
            self._forget_file(node)

    def trim(self, most: int = _MOST_KNOWN // 2) -> None:
        """Forget names and nodes, until at most `most` names are known: those of directories that were read first.

        Directories, what is held, and what has another inode number than its layer says, are kept.
        """
        known = sum(map(_size, self._listed_directories))
        for directory in list(self._listed_directories):
            if known <= most:
                break
            known -= _size(directory)
            del self._listed_directories[directory]
            # One that was removed stays as it was.
            if directory.names or directory is self.root:
                directory.forget()
                # One with several names here is forgotten once.
                for node in set(directory.children.values()):
                    self._forget_node(node)
        self._known = known
        self._reads = 0
        self.crowded = False

    # How

    def _forget_node(self, node: Node) -> None:
        if isinstance(node, Directory) or node.uses or (node.layer == UPPER and node.ino != node.real):
            return
        for directory, name in node.names:
            del directory.children[name]
        self._forget_file(node)

    def _forget_file(self, node: Node) -> None:
        if self._files.get(node.real) is node:
            del self._files[node.real]

    def _open(self, node: Node, flags: int = os.O_RDONLY) -> int:
        if node.layer != UPPER:
            try:
                # Nothing is written to a lower layer, not even when it was read.
                return self._open_plainly(node, flags | os.O_NOATIME)
            except PermissionError:
                pass
        return self._open_plainly(node, flags)

    def _open_plainly(self, node: Node, flags: int) -> int:
        kept = flags & (_FLAGS | os.O_NOATIME)
        if node.held >= 0:
            return os.open(b"/proc/self/fd/%d" % node.held, kept | os.O_CLOEXEC)
        directory, name = node.names[0]
        return os.open(name, kept | _ALWAYS, dir_fd=self._descriptors.find(directory, node.layer))

    def _path(self, node: Node) -> tuple[bytes, bool]:
        """Return a path of a file for calls that take nothing else, and whether they must follow a link for it."""
        if node.held >= 0:
            return b"/proc/self/fd/%d" % node.held, True
        if not node.names:
            assert isinstance(node, Directory)
            return b"/proc/self/fd/%d" % self._descriptors.find(node, node.layer), True
        directory, name = node.names[0]
        return b"/proc/self/fd/%d/%b" % (self._descriptors.find(directory, node.layer), name), False

    def _listed(self, directory: Directory, name: bytes) -> Listed | None:
        upper = self._read(directory)
        above = upper.get(name)
        below = directory.lower.get(name) if name not in directory.hidden else None
        if above is None:
            return below
        if below is not None and above[0] == below[0] == stat.S_IFDIR:
            return above[0], above[1], (UPPER, *below[2])
        return above

    def _merged(self, directory: Directory) -> Iterator[int]:
        """Yield the layers of a directory down to one that hides the rest."""
        for layer in directory.layers:
            yield layer
            if is_opaque(self._descriptors.find(directory, layer)):
                return

    def _read(self, directory: Directory) -> dict[bytes, Listed]:
        """Return what the upper layer has in a directory, which is read if it was not yet."""
        if directory.upper is None:
            lower: dict[bytes, Listed] = {}
            closed: set[bytes] = set()
            for layer in directory.lower_layers:
                self._read_layer(directory, layer, lower, closed)
            upper: dict[bytes, Listed] = {}
            hidden: set[bytes] = set()
            if directory.layers[0] == UPPER:
                self._read_layer(directory, UPPER, upper, hidden)
            directory.lower = lower or LISTED
            directory.hidden = hidden - upper.keys()
            directory.upper = upper
            self._listed_directories[directory] = None
            self._known += _size(directory)
            self._reads += 1
            self.crowded = self._known > _MOST_KNOWN and self._reads >= _MANY_READ
        return directory.upper

    def _read_layer(self, directory: Directory, layer: int, found: dict[bytes, Listed], closed: set[bytes]) -> None:
        """Add what one layer has in a directory to what those above it have.

        `closed` are names for which nothing below counts: a whiteout, or what is no directory.
        """
        descriptor = self._descriptors.find(directory, layer)
        space = self._spaces[layer]
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if name in closed:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    above = found.get(name)
                    if above is None:
                        found[name] = (stat.S_IFDIR, entry.inode() | space, (layer,))
                    else:
                        found[name] = (above[0], above[1], (*above[2], layer))
                    continue
                closed.add(name)
                if name in found:
                    continue
                if entry.is_file(follow_symlinks=False):
                    kind = stat.S_IFREG
                elif entry.is_symlink():
                    kind = stat.S_IFLNK
                else:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    kind = stat.S_IFMT(status.st_mode)
                    if kind == stat.S_IFCHR and not status.st_rdev:
                        continue
                found[name] = (kind, entry.inode() | space, (layer,))


def _size(directory: Directory) -> int:
    """Return how many names are known of a directory."""
    return len(directory.upper or ()) + len(directory.lower)
