"""Changing a union: every change goes to the upper layer, into which what it touches is copied up first.

Each step on the disk leaves a tree that is right: what is new is made in the working directory and gets its name by a
rename, which takes the place of a whiteout if there is one, or leaves one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from transom.runtime.syscalls.files import (
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    RENAME_WHITEOUT,
    renameat2,
    syncfs,
)
from transom_fuse.union.failures import failure
from transom_fuse.union.format import WHITEOUT, is_own_attribute, mark_opaque
from transom_fuse.union.handles import Handle
from transom_fuse.union.nodes import LISTED, UPPER, Directory, Node
from transom_fuse.union.staging import Staging
from transom_fuse.union.tree import Tree

__all__ = ["Owner", "Union"]

_DEFAULT_ACL = "system.posix_acl_default"
_NO_ACL = (errno.ENODATA, errno.EOPNOTSUPP)
_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom something new belongs to."""

    uid: int
    gid: int


class Union(Tree):
    """A tree that can be changed. `upper` and `work` are directories on one file system.

    Modes are taken as they are: the caller has applied its umask, and this process's must be 0. New things belong to
    `owner`, by default to this process. All methods raise `OSError` as the system calls that they stand for.
    """

    def __init__(self, lower: Sequence[Path], upper: Path, work: Path, *, most_open: int = 512) -> None:
        super().__init__(lower, upper, most_open=most_open)
        try:
            self._staging = Staging(os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except BaseException:
            super().close()
            raise
        self._self = Owner(os.geteuid(), os.getegid())

    def close(self) -> None:
        self._staging.close()
        super().close()

    # New things

    def create(self, directory: Directory, name: bytes, mode: int, flags: int, owner: Owner | None = None) -> Handle:
        """Make a regular file and open it, with flags as for `open`; it is there already: EEXIST."""
        opened: list[int] = []

        def make(at: int, name: bytes) -> None:
            access = flags & (os.O_ACCMODE | os.O_APPEND | os.O_SYNC | os.O_DSYNC)
            opened.append(os.open(name, access | _CREATE, mode, dir_fd=at))

        try:
            node = self._add(directory, name, stat.S_IFREG, mode, owner, make)
        except BaseException:
            for descriptor in opened:
                os.close(descriptor)
            raise
        self.hold(node)
        return Handle(node, opened[0], self._open)

    def make_node(self, directory: Directory, name: bytes, mode: int, device: int, owner: Owner | None = None) -> Node:
        """Make a file of a type that is not a directory or symbolic link: mknod(2)."""
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        if kind == WHITEOUT and not device:
            raise failure(errno.EPERM)

        def make(at: int, name: bytes) -> None:
            os.mknod(name, kind | stat.S_IMODE(mode), device, dir_fd=at)

        return self._add(directory, name, kind, mode, owner, make)

    def make_directory(self, directory: Directory, name: bytes, mode: int, owner: Owner | None = None) -> Directory:
        """mkdir(2)."""

        def make(at: int, name: bytes) -> None:
            os.mkdir(name, stat.S_IMODE(mode), dir_fd=at)

        made = self._add(directory, name, stat.S_IFDIR, mode, owner, make)
        assert isinstance(made, Directory)
        return made

    def make_link(self, directory: Directory, name: bytes, target: bytes, owner: Owner | None = None) -> Node:
        """symlink(2)."""

        def make(at: int, name: bytes) -> None:
            os.symlink(target, name, dir_fd=at)

        return self._add(directory, name, stat.S_IFLNK, 0o777, owner, make)

    def link(self, node: Node, directory: Directory, name: bytes) -> None:
        """Give a file another name: link(2)."""
        self._check_absent(directory, name)
        if isinstance(node, Directory):
            raise failure(errno.EPERM)
        if not node.names and node.held < 0:
            raise failure(errno.ENOENT)
        self._copy_up(node)
        at = self._upper(directory)

        def make(at: int, name: bytes) -> None:
            path, follow = self._path(node)
            os.link(path, name, dst_dir_fd=at, follow_symlinks=follow)

        if name in directory.hidden:
            with self._staging.name() as staged:
                make(self._staging.descriptor, staged)
                renameat2(self._staging.descriptor, staged, at, name)
        else:
            make(at, name)
        self._appear(directory, name, node)

    def make_nameless(self, directory: Directory, mode: int, flags: int, owner: Owner | None = None) -> Handle:
        """Make a file without a name, which `link` may give it one: open(2), O_TMPFILE."""
        at = self._upper(directory)
        access = flags & (os.O_ACCMODE | os.O_APPEND | os.O_SYNC | os.O_DSYNC)
        descriptor = os.open(b".", access | os.O_TMPFILE | os.O_CLOEXEC, stat.S_IMODE(mode), dir_fd=at)
        try:
            wanted = self._inherited_owner(at, owner)
            if wanted != self._self:
                os.fchown(descriptor, wanted.uid, wanted.gid)
                os.fchmod(descriptor, stat.S_IMODE(mode))
            node = Node(stat.S_IFREG, os.fstat(descriptor).st_ino, UPPER)
            node.held = os.open(b"/proc/self/fd/%d" % descriptor, os.O_PATH | os.O_CLOEXEC)
        except BaseException:
            os.close(descriptor)
            raise
        self._files[node.real] = node
        self.hold(node)
        return Handle(node, descriptor, self._open)

    # Removal

    def unlink(self, directory: Directory, name: bytes) -> None:
        """unlink(2)."""
        node = self.lookup(directory, name)
        if isinstance(node, Directory):
            raise failure(errno.EISDIR)
        with self._kept(node):
            self._remove(directory, name, os.unlink)
        self._disappear(directory, name, node)

    def remove_directory(self, directory: Directory, name: bytes) -> None:
        """rmdir(2)."""
        node = self.lookup(directory, name)
        if not isinstance(node, Directory):
            raise failure(errno.ENOTDIR)
        if not self.is_empty(node):
            raise failure(errno.ENOTEMPTY)
        with self._kept(node):
            # With whiteouts in it, it is taken away whole.
            self._remove(directory, name, None if node.hidden else os.rmdir)
        self._descriptors.forget(node)
        self._disappear(directory, name, node)

    # Renames

    def rename(
        self, directory: Directory, name: bytes, new_directory: Directory, new_name: bytes, flags: int = 0
    ) -> None:
        """renameat2(2), with RENAME_NOREPLACE or RENAME_EXCHANGE. A directory is copied up with all that is in it."""
        if flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) or flags == RENAME_NOREPLACE | RENAME_EXCHANGE:
            raise failure(errno.EINVAL)
        node = self.lookup(directory, name)
        try:
            target = self.lookup(new_directory, new_name)
        except FileNotFoundError:
            if flags & RENAME_EXCHANGE:
                raise
            target = None
        if target is not None and flags & RENAME_NOREPLACE:
            raise failure(errno.EEXIST)
        if node is target:
            return
        if _is_above(node, new_directory):
            raise failure(errno.EINVAL)
        if target is not None and _is_above(target, directory):
            raise failure(errno.EINVAL if flags & RENAME_EXCHANGE else errno.ENOTEMPTY)
        if target is not None and flags & RENAME_EXCHANGE:
            self._exchange(directory, name, node, new_directory, new_name, target)
            return
        if isinstance(target, Directory):
            if not isinstance(node, Directory):
                raise failure(errno.EISDIR)
            if not self.is_empty(target):
                raise failure(errno.ENOTEMPTY)
        elif isinstance(node, Directory) and target is not None:
            raise failure(errno.ENOTDIR)
        self._move(directory, name, node, new_directory, new_name, target)

    def _move(
        self,
        directory: Directory,
        name: bytes,
        node: Node,
        new_directory: Directory,
        new_name: bytes,
        target: Node | None = None,
    ) -> None:
        self._detach(node)
        at, to = self._upper(directory), self._upper(new_directory)
        hides = RENAME_WHITEOUT if name in directory.lower else 0
        moved_whiteout = False
        if isinstance(node, Directory):
            if new_name in new_directory.lower:
                mark_opaque(self._descriptors.find(node, UPPER), self._staging.opaque)
            if isinstance(target, Directory) and target.layer == UPPER and target.hidden:
                self._clear(new_directory, new_name, target)
            moved_whiteout = new_name in new_directory.hidden
        with self._kept(target):
            if moved_whiteout:
                # A directory cannot replace a whiteout: they change places, and it may be needed at the old one.
                renameat2(at, name, to, new_name, RENAME_EXCHANGE)
                if not hides:
                    os.unlink(name, dir_fd=at)
            else:
                renameat2(at, name, to, new_name, hides)
        if target is not None:
            if isinstance(target, Directory):
                self._descriptors.forget(target)
            self._disappear(new_directory, new_name, target)
        self._disappear(directory, name, node)
        self._appear(new_directory, new_name, node)

    def _exchange(
        self,
        directory: Directory,
        name: bytes,
        node: Node,
        new_directory: Directory,
        new_name: bytes,
        target: Node,
    ) -> None:
        self._detach(node)
        self._detach(target)
        at, to = self._upper(directory), self._upper(new_directory)
        for moved, place, place_name in ((node, new_directory, new_name), (target, directory, name)):
            if isinstance(moved, Directory) and place_name in place.lower:
                mark_opaque(self._descriptors.find(moved, UPPER), self._staging.opaque)
        renameat2(at, name, to, new_name, RENAME_EXCHANGE)
        self._disappear(directory, name, node)
        self._disappear(new_directory, new_name, target)
        self._appear(directory, name, target)
        self._appear(new_directory, new_name, node)

    # Attributes

    def set_mode(self, node: Node, mode: int) -> None:
        """chmod(2). Symbolic links have no mode."""
        if node.kind == stat.S_IFLNK:
            raise failure(errno.EOPNOTSUPP)
        self._copy_up(node)
        os.chmod(self._path(node)[0], stat.S_IMODE(mode))

    def set_owner(self, node: Node, uid: int, gid: int) -> None:
        """lchown(2); -1 leaves what is there."""
        self._copy_up(node)
        path, follow = self._path(node)
        os.chown(path, uid, gid, follow_symlinks=follow)

    def set_times(self, node: Node, access: int | None, modification: int | None) -> None:
        """utimensat(2), in nanoseconds; None leaves what is there."""
        self._copy_up(node)
        status = self.status(node)
        path, follow = self._path(node)
        times = (
            status.st_atime_ns if access is None else access,
            status.st_mtime_ns if modification is None else modification,
        )
        os.utime(path, ns=times, follow_symlinks=follow)

    def truncate(self, node: Node, size: int) -> None:
        """truncate(2)."""
        self._copy_up(node, empty=size == 0)
        os.truncate(self._path(node)[0], size)

    def set_attribute(self, node: Node, name: bytes, value: bytes, flags: int = 0) -> None:
        """setxattr(2)."""
        if is_own_attribute(name):
            raise failure(errno.EOPNOTSUPP)
        self._copy_up(node)
        path, follow = self._path(node)
        os.setxattr(path, name, value, flags, follow_symlinks=follow)

    def remove_attribute(self, node: Node, name: bytes) -> None:
        """removexattr(2)."""
        self.attribute(node, name)
        self._copy_up(node)
        path, follow = self._path(node)
        os.removexattr(path, name, follow_symlinks=follow)

    def open(self, node: Node, flags: int) -> Handle:
        if flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC:
            self._copy_up(node, empty=bool(flags & os.O_TRUNC))
        return super().open(node, flags)

    def sync_directory(self, directory: Directory) -> None:
        """fsync(2) of a directory."""
        if directory.layer == UPPER:
            os.fsync(self._descriptors.find(directory, UPPER))

    # Names appear and disappear

    def _add(
        self,
        directory: Directory,
        name: bytes,
        kind: int,
        mode: int,
        owner: Owner | None,
        make: Callable[[int, bytes], None],
    ) -> Node:
        """Make something under a name that is free, at once with its owner and mode, and return its node."""
        self._check_absent(directory, name)
        at = self._upper(directory)
        hides = name in directory.hidden
        wanted = self._inherited_owner(at, owner)
        if not hides and wanted == self._self:
            make(at, name)
        else:
            with self._nursery(at) as nursery, self._staging.name() as staged:
                if nursery != self._staging.descriptor:
                    staged = name
                make(nursery, staged)
                self._finish(nursery, staged, kind, mode, at, wanted, opaque=name in directory.lower)
                self._place(nursery, staged, at, name, exchange=hides and kind == stat.S_IFDIR, replace=hides)
        ino = os.stat(name, dir_fd=at, follow_symlinks=False).st_ino | self._spaces[UPPER]
        node = Directory(ino, (UPPER,)) if kind == stat.S_IFDIR else Node(kind, ino, UPPER)
        if isinstance(node, Directory):
            node.upper = {}
            self._listed_directories[node] = None
        self._appear(directory, name, node)
        return node

    @contextmanager
    def _nursery(self, at: int) -> Iterator[int]:
        """Give a `with` block a directory where something new is given the permissions that it would be given in `at`.

        That is the working directory, or one in it with the same list of default permissions (acl(5)).
        """
        try:
            inherited = os.getxattr(at, _DEFAULT_ACL)
        except OSError as error:
            if error.errno not in _NO_ACL:
                raise
            yield self._staging.descriptor
            return
        with self._staging.name() as name, ExitStack() as stack:
            os.mkdir(name, 0o700, dir_fd=self._staging.descriptor)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            nursery = os.open(name, flags, dir_fd=self._staging.descriptor)
            stack.callback(os.close, nursery)
            os.setxattr(nursery, _DEFAULT_ACL, inherited)
            yield nursery

    def _finish(self, nursery: int, name: bytes, kind: int, mode: int, at: int, owner: Owner, *, opaque: bool) -> None:
        """Give something new what making it somewhere else did not give it."""
        if owner != self._self:
            os.chown(name, owner.uid, owner.gid, dir_fd=nursery, follow_symlinks=False)
        inherits = kind == stat.S_IFDIR and os.fstat(at).st_mode & stat.S_ISGID
        special = mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX) | (stat.S_ISGID if inherits else 0)
        if special and kind != stat.S_IFLNK:
            # A change of owner took it away.
            now = os.stat(name, dir_fd=nursery, follow_symlinks=False).st_mode
            os.chmod(name, stat.S_IMODE(now) | special, dir_fd=nursery)
        if kind == stat.S_IFDIR and opaque:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=nursery)
            try:
                mark_opaque(descriptor, self._staging.opaque)
            finally:
                os.close(descriptor)

    def _place(self, nursery: int, staged: bytes, at: int, name: bytes, *, exchange: bool, replace: bool) -> None:
        if exchange:
            renameat2(nursery, staged, at, name, RENAME_EXCHANGE)
        else:
            renameat2(nursery, staged, at, name, 0 if replace else RENAME_NOREPLACE)

    def _inherited_owner(self, at: int, owner: Owner | None) -> Owner:
        """Return whom something new belongs to in a directory, which may say of which group that is."""
        wanted = self._self if owner is None else owner
        status = os.fstat(at)
        return Owner(wanted.uid, status.st_gid) if status.st_mode & stat.S_ISGID else wanted

    def _appear(self, directory: Directory, name: bytes, node: Node) -> None:
        assert directory.upper is not None
        directory.upper[name] = (node.kind, node.real, (UPPER,))
        self._known += 1
        directory.hidden.discard(name)
        directory.children[name] = node
        node.names.append((directory, name))
        if not isinstance(node, Directory):
            self._files[node.real] = node
        if node.held >= 0:
            os.close(node.held)
            node.held = -1

    def _disappear(self, directory: Directory, name: bytes, node: Node) -> None:
        assert directory.upper is not None
        directory.upper.pop(name, None)
        if name in directory.lower:
            directory.hidden.add(name)
        else:
            directory.hidden.discard(name)
        directory.children.pop(name, None)
        node.names.remove((directory, name))
        if not node.names and node.held < 0:
            self._forget_file(node)

    @contextmanager
    def _kept(self, node: Node | None) -> Iterator[None]:
        """Keep a file open whose last name goes in the `with` block, if somebody uses it."""
        if node is None or not node.uses or node.held >= 0 or len(node.names) != 1:
            yield
            return
        directory, name = node.names[0]
        held = os.open(name, _PATH, dir_fd=self._descriptors.find(directory, node.layer))
        try:
            yield
        except BaseException:
            os.close(held)
            raise
        node.held = held

    def _remove(self, directory: Directory, name: bytes, remove: Callable[..., None] | None) -> None:
        """Take a name away, and hide what is below it. With `remove` nothing but that is needed in the upper layer."""
        at = self._upper(directory)
        assert directory.upper is not None
        hides = name in directory.lower
        if name not in directory.upper:
            os.mknod(name, WHITEOUT, 0, dir_fd=at)
        elif remove is not None and not hides:
            remove(name, dir_fd=at)
        else:
            with self._staging.name() as removed:
                renameat2(at, name, self._staging.descriptor, removed, RENAME_WHITEOUT if hides else 0)

    # Copying up

    def _upper(self, directory: Directory) -> int:
        """Return the descriptor of a directory in the upper layer, where it is made if it is not there."""
        if not directory.names and directory is not self.root:
            raise failure(errno.ENOENT)
        self._copy_up(directory)
        self._read(directory)
        return self._descriptors.find(directory, UPPER)

    def _copy_up(self, node: Node, *, empty: bool = False) -> None:
        """Bring a file to the upper layer, with the directories that it is in, if it is not there."""
        if node.held >= 0 and node.layer != UPPER:
            self._copy_up_removed(node)
            return
        missing: list[Node] = []
        above = node
        while above.layer != UPPER:
            if not above.names:
                raise failure(errno.ENOENT)
            missing.append(above)
            above = above.names[0][0]
        for each in reversed(missing):
            with self._staging.name() as staged:
                self._stage(each, staged, empty=empty and each is node)
                self._settle(each, staged)

    def _copy_up_removed(self, node: Node) -> None:
        """The same for a file that was removed while in use, whose descriptor is all there is."""
        with self._staging.name() as staged:
            reader = os.open(b"/proc/self/fd/%d" % node.held, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._staging.copy_file(reader, staged, flush=False)
            finally:
                os.close(reader)
            held = os.open(staged, _PATH, dir_fd=self._staging.descriptor)
        os.close(node.held)
        node.held = held
        node.layer = UPPER
        node.real = os.fstat(held).st_ino | self._spaces[UPPER]
        self._files[node.real] = node

    def _stage(self, node: Node, staged: bytes, *, empty: bool = False, flush: bool = True) -> None:
        directory, name = node.names[0]
        source = self._descriptors.find(directory, node.layer)
        self._staging.copy(source, name, staged, empty=empty, flush=flush)

    def _settle(self, node: Node, staged: bytes) -> None:
        """Give a staged copy its place in the upper layer. The directory that it comes into keeps its times."""
        directory, name = node.names[0]
        self._read(directory)
        at = self._descriptors.find(directory, UPPER)
        before = os.fstat(at)
        several = node.kind != stat.S_IFDIR and self.status(node).st_nlink > 1
        renameat2(self._staging.descriptor, staged, at, name, RENAME_NOREPLACE)
        os.utime(at, ns=(before.st_atime_ns, before.st_mtime_ns))
        node.layer = UPPER
        if isinstance(node, Directory):
            node.layers = (UPPER, *node.layers)
        node.real = os.stat(name, dir_fd=at, follow_symlinks=False).st_ino | self._spaces[UPPER]
        if not isinstance(node, Directory):
            self._files[node.real] = node
        if several:
            # The other names are another file from now on.
            node.ino = node.real
        assert directory.upper is not None
        directory.upper[name] = (node.kind, node.real, (UPPER,))

    def _detach(self, node: Node) -> None:
        """Bring a file to the upper layer so that it needs nothing from the layers below, whatever its path is."""
        self._copy_up(node)
        if not isinstance(node, Directory) or node.layers == (UPPER,):
            return
        with ExitStack() as stack:
            directories, staged = [node], []
            for directory in directories:
                self._copy_up(directory)
                for name, _, _ in self.entries(directory):
                    child = self.lookup(directory, name)
                    if isinstance(child, Directory):
                        if child.layers != (UPPER,):
                            directories.append(child)
                    elif child.layer != UPPER:
                        copy = stack.enter_context(self._staging.name())
                        self._stage(child, copy, flush=False)
                        staged.append((child, copy))
            # What is copied hides its original, so it must be on the disk before.
            syncfs(self._staging.descriptor)
            for child, copy in staged:
                self._settle(child, copy)
            for directory in reversed(directories):
                mark_opaque(self._descriptors.find(directory, UPPER), self._staging.opaque)
                self._descriptors.forget(directory)
                directory.layers = (UPPER,)
                # Whiteouts hide nothing any more, but they are there.
                directory.lower = LISTED

    def _clear(self, directory: Directory, name: bytes, node: Directory) -> None:
        """Replace a directory of the upper layer that shows nothing, but has whiteouts, by one that is empty."""
        at = self._descriptors.find(directory, UPPER)
        with self._staging.name() as staged:
            self._staging.copy(at, name, staged)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(staged, flags, dir_fd=self._staging.descriptor)
            try:
                mark_opaque(descriptor, self._staging.opaque)
            finally:
                os.close(descriptor)
            renameat2(self._staging.descriptor, staged, at, name, RENAME_EXCHANGE)
        self._descriptors.forget(node)
        node.hidden = set()
        node.layers = (UPPER,)
        node.lower = LISTED

    # Checks

    def _check_absent(self, directory: Directory, name: bytes) -> None:
        if directory.children.get(name) is not None or self._listed(directory, name) is not None:
            raise failure(errno.EEXIST)


def _is_above(node: Node, directory: Directory) -> bool:
    """Return whether a directory is another one, or is below it."""
    above: Directory | None = directory
    while above is not None and above is not node:
        above = above.names[0][0] if above.names else None
    return above is not None
