"""A union served to the kernel by libfuse's interface of paths, through mfusepy.

What mfusepy does not pass on (flags of renames, times to be left alone) is taken from libfuse directly, by overriding
its callbacks; so are those for which names as bytes and no dictionaries make a difference that one can measure.

With libfuse 2 renames have no flags, the kernel keeps no attributes, and it knows no lists of permissions (acl(5)).

All of a union's changes come through its one mount, so the kernel may keep what it knows for good, with one exception:
libfuse knows files by their paths, and two names of one file are two files to the kernel. The attributes of such files
are not kept, and their data not from one open to the next.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from types import SimpleNamespace
from typing import Any

from transom_fuse.libfuse import OLD, mfusepy, take_descriptor
from transom_fuse.union import Directory, Handle, Node, Owner, Tree, Union
from transom_fuse.union.failures import failure

__all__ = ["serve"]

_FOREVER = 86400.0
#: What libfuse calls a file that is removed while it is open, until it is closed.
_HIDDEN = re.compile(rb"/\.fuse_hidden[0-9a-f]{16}$")

# fuse_common.h: what is asked of the kernel, and what is not.
_DONT_MASK = 1 << 6
_SPLICE = 1 << 7 | 1 << 8 | 1 << 9
_POSIX_ACL = 1 << 19
_HANDLE_KILLPRIV = 1 << 20

# fuse.h: whoever reads a directory wants attributes too; they are given.
_READDIR_PLUS = 1
_FILL_PLUS = 2

# utimensat(2).
_UTIME_NOW = (1 << 30) - 1
_UTIME_OMIT = (1 << 30) - 2

_DEFAULT_ACL = b"system.posix_acl_default"


def serve(descriptor: int, tree: Tree) -> None:
    """Answer the kernel on an open /dev/fuse that is mounted already, until it is unmounted."""
    if OLD:
        take_descriptor(
            descriptor,
            f"use_ino,big_writes,entry_timeout={_FOREVER},negative_timeout={_FOREVER},attr_timeout=0",
        )
    _Session(_Operations(tree), f"/dev/fd/{descriptor}", foreground=True, nothreads=True, raw_fi=True)


class _Operations:
    """Tells mfusepy, by the names of its attributes, which callbacks there are."""

    use_ns = True
    flag_nullpath_ok = flag_utime_omit_ok = 1
    getattr = readlink = mknod = mkdir = unlink = rmdir = symlink = rename = link = chmod = chown = truncate = True
    open = read = write = statfs = release = fsync = setxattr = getxattr = listxattr = removexattr = opendir = True
    readdir = releasedir = fsyncdir = create = utimens = fallocate = lseek = True

    def __init__(self, tree: Tree) -> None:
        self.tree = tree


class _Session(mfusepy.FUSE):  # type: ignore[misc]
    """The callbacks. Each raises `OSError`, which mfusepy turns into libfuse's answer."""

    def __init__(self, operations: _Operations, *arguments: Any, **options: Any) -> None:
        self._tree = operations.tree
        self._handles: dict[int, Handle] = {}
        self._listings: dict[int, tuple[Directory, list[tuple[bytes, int, int]]]] = {}
        self._numbers = 0
        #: Directories by path; forgotten when one is moved or removed.
        self._directories: dict[bytes, Directory] = {b"": operations.tree.root}
        #: Removed files that are open, by the paths that libfuse knows them by.
        self._hidden: dict[bytes, Node] = {}
        self._config: Any = None
        super().__init__(operations, *arguments, **options)

    def init_fuse_3(self, connection: Any, config: Any) -> None:
        """Called before anything else."""
        wanted = connection.contents
        wanted.want |= wanted.capable & (_POSIX_ACL | _DONT_MASK)
        # Who changes a file takes away its set-user-ID bits: the kernel does that.
        wanted.want &= ~(_HANDLE_KILLPRIV | _SPLICE)
        self._config = config.contents
        self._config.entry_timeout = self._config.negative_timeout = self._config.attr_timeout = _FOREVER
        self._config.use_ino = 1
        self._config.nullpath_ok = 1

    def init_fuse_2(self, connection: Any) -> None:
        """The same for libfuse 2, which was told by options what it is told by a configuration now."""
        wanted = connection.contents
        wanted.want |= wanted.capable & _DONT_MASK
        self._config = SimpleNamespace()

    # Attributes

    def fgetattr(self, path: bytes | None, buffer: Any, info: Any) -> int:
        if self._tree.crowded:
            self._tree.trim()
        node = self._handles[info.contents.fh].node if info and info.contents.fh else self._node(path)
        self._fill(node, self._tree.status(node), buffer.contents)
        return 0

    def _fill(self, node: Node, status: os.stat_result, target: Any) -> None:
        links = self._tree.link_count(node, status)
        # libfuse gives the kernel the attributes with this when the callback returns.
        self._config.attr_timeout = _FOREVER if links == 1 or node.kind == stat.S_IFDIR else 0.0
        target.st_ino = node.ino
        target.st_nlink = links
        target.st_mode = status.st_mode
        target.st_uid = status.st_uid
        target.st_gid = status.st_gid
        target.st_rdev = status.st_rdev
        target.st_size = status.st_size
        target.st_blksize = status.st_blksize
        target.st_blocks = status.st_blocks
        for field, value in (
            (target.st_atimespec, status.st_atime_ns),
            (target.st_mtimespec, status.st_mtime_ns),
            (target.st_ctimespec, status.st_ctime_ns),
        ):
            field.tv_sec, field.tv_nsec = divmod(value, 1_000_000_000)

    def chmod_fuse_3(self, path: bytes | None, mode: int, info: Any) -> int:
        self._union.set_mode(self._node(path, info), mode)
        return 0

    def chown_fuse_3(self, path: bytes | None, uid: int, gid: int, info: Any) -> int:
        self._union.set_owner(
            self._node(path, info), *(-1 if number == 0xFFFFFFFF else number for number in (uid, gid))
        )
        return 0

    def truncate_fuse_3(self, path: bytes | None, size: int, info: Any) -> int:
        if info:
            self._handles[info.contents.fh].truncate(size)
        else:
            self._union.truncate(self._node(path), size)
        return 0

    def utimens_fuse_3(self, path: bytes | None, times: Any, info: Any) -> int:
        node = self._node(path, info)
        wanted = (times.contents.actime, times.contents.modtime) if times else ()
        now = time.time_ns()
        access, modification = (_nanoseconds(each, now) for each in wanted) if wanted else (now, now)
        self._union.set_times(node, access, modification)
        return 0

    def statfs(self, path: bytes, buffer: Any) -> int:  # noqa: ARG002
        space = self._tree.space()
        target = buffer.contents
        for name in ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail"):
            setattr(target, name, getattr(space, name))
        target.f_namemax = 255
        return 0

    def getxattr(self, path: bytes, name: bytes, value: Any, size: int) -> int:
        return self._give(self._tree.attribute(self._node(path), name), value, size)

    def listxattr(self, path: bytes, value: Any, size: int) -> int:
        names = self._tree.attributes(self._node(path))
        return self._give(b"".join(name + b"\0" for name in names), value, size)

    def setxattr(self, path: bytes, name: bytes, value: Any, size: int, flags: int) -> int:
        self._union.set_attribute(self._node(path), name, mfusepy.ctypes.string_at(value, size), flags)
        return 0

    def removexattr(self, path: bytes, name: bytes) -> int:
        self._union.remove_attribute(self._node(path), name)
        return 0

    def _give(self, value: bytes, buffer: Any, size: int) -> int:
        """Answer with bytes, or with how many there are if nobody has room for them yet."""
        if buffer and size:
            if len(value) > size:
                raise failure(errno.ERANGE)
            mfusepy.ctypes.memmove(buffer, value, len(value))
        return len(value)

    def readlink(self, path: bytes, buffer: Any, size: int) -> int:
        target = self._tree.read_link(self._node(path))[: size - 1] + b"\0"
        mfusepy.ctypes.memmove(buffer, target, len(target))
        return 0

    # Names

    def mknod(self, path: bytes, mode: int, device: int) -> int:
        directory, name = self._place(path)
        owner, masked = self._new(directory, mode)
        self._union.make_node(directory, name, masked, device, owner)
        return 0

    def mkdir(self, path: bytes, mode: int) -> int:
        directory, name = self._place(path)
        owner, masked = self._new(directory, mode)
        self._union.make_directory(directory, name, masked, owner)
        return 0

    def symlink(self, target: bytes, path: bytes) -> int:
        directory, name = self._place(path)
        self._union.make_link(directory, name, target, self._new(directory, 0o777)[0])
        return 0

    def link(self, path: bytes, new: bytes) -> int:
        self._union.link(self._node(path), *self._place(new))
        return 0

    def unlink(self, path: bytes) -> int:
        if path in self._hidden:
            self._tree.release(self._hidden.pop(path))
        else:
            self._union.unlink(*self._place(path))
        return 0

    def rmdir(self, path: bytes) -> int:
        self._union.remove_directory(*self._place(path))
        self._forget_directories()
        return 0

    def rename_fuse_3(self, path: bytes, new: bytes, flags: int) -> int:
        directory, name = self._place(path)
        node = self._tree.lookup(directory, name)
        if not flags and node.uses and not isinstance(node, Directory) and _HIDDEN.search(new):
            # So libfuse removes a file that is open.
            self._tree.hold(node)
            try:
                self._union.unlink(directory, name)
            except OSError:
                self._tree.release(node)
                raise
            self._hidden[new] = node
            return 0
        self._union.rename(directory, name, *self._place(new), flags)
        self._forget_directories()
        above, below = path + b"/", new + b"/"
        for hidden in [each for each in self._hidden if each.startswith(above)]:
            self._hidden[below + hidden[len(above) :]] = self._hidden.pop(hidden)
        return 0

    # Files

    def create(self, path: bytes, mode: int, info: Any) -> int:
        directory, name = self._place(path)
        owner, masked = self._new(directory, mode)
        self._opened(self._union.create(directory, name, masked, info.contents.flags, owner), info)
        return 0

    def open(self, path: bytes, info: Any) -> int:
        self._opened(self._tree.open(self._node(path), info.contents.flags), info)
        return 0

    def _opened(self, handle: Handle, info: Any) -> None:
        self._numbers += 1
        self._handles[self._numbers] = handle
        info.contents.fh = self._numbers
        info.contents.keep_cache = os.fstat(handle.descriptor).st_nlink == 1

    def read(self, path: bytes | None, buffer: Any, size: int, offset: int, info: Any) -> int:  # noqa: ARG002
        return self._handles[info.contents.fh].read_into(_memory(buffer, size), offset)

    def write(self, path: bytes | None, buffer: Any, size: int, offset: int, info: Any) -> int:  # noqa: ARG002
        return self._handles[info.contents.fh].write(_memory(buffer, size), offset)

    def fsync(self, path: bytes | None, data_only: int, info: Any) -> int:  # noqa: ARG002
        self._handles[info.contents.fh].sync(data_only=bool(data_only))
        return 0

    def fallocate(self, path: bytes | None, mode: int, offset: int, size: int, info: Any) -> int:  # noqa: ARG002
        self._handles[info.contents.fh].allocate(mode, offset, size)
        return 0

    def lseek(self, path: bytes | None, offset: int, whence: int, info: Any) -> int:  # noqa: ARG002
        return self._handles[info.contents.fh].seek(offset, whence)

    def release(self, path: bytes | None, info: Any) -> int:
        handle = self._handles.pop(info.contents.fh)
        self._tree.close_handle(handle)
        if self._hidden and handle.node.uses == 1:
            # libfuse removes what it has hidden, unless the directory is gone by which it would find it.
            for path in [path for path, node in self._hidden.items() if node is handle.node]:
                self._tree.release(self._hidden.pop(path))
        return 0

    # Directories

    def opendir(self, path: bytes, info: Any) -> int:
        directory = self._directory(path.rstrip(b"/"))
        self._numbers += 1
        self._listings[self._numbers] = directory, []
        info.contents.fh = self._numbers
        info.contents.cache_readdir = info.contents.keep_cache = 1
        return 0

    def readdir_fuse_3(self, path: bytes | None, buffer: Any, fill: Any, offset: int, info: Any, flags: int) -> int:  # noqa: ARG002
        number = info.contents.fh
        directory, entries = self._listings[number]
        if not offset:
            # What is listed stays so until somebody begins again.
            above = directory.names[0][0].ino if directory.names else directory.ino
            entries = [(b".", stat.S_IFDIR, directory.ino), (b"..", stat.S_IFDIR, above)]
            entries += self._tree.entries(directory)
            self._listings[number] = directory, entries
        target = mfusepy.c_stat()
        for position in range(offset, len(entries)):
            name, target.st_mode, target.st_ino = entries[position]
            plus = 0
            if flags & _READDIR_PLUS and position > 1:
                try:
                    node = self._tree.lookup(directory, name)
                    self._fill(node, self._tree.status(node), target)
                    plus = _FILL_PLUS
                except FileNotFoundError:
                    continue
            if fill(buffer, name, target, position + 1, plus):
                break
        return 0

    def releasedir(self, path: bytes | None, info: Any) -> int:  # noqa: ARG002
        del self._listings[info.contents.fh]
        return 0

    def fsyncdir(self, path: bytes | None, data_only: int, info: Any) -> int:  # noqa: ARG002
        self._union.sync_directory(self._listings[info.contents.fh][0])
        return 0

    # The same for libfuse 2

    def chmod_fuse_2(self, path: bytes, mode: int) -> int:
        return self.chmod_fuse_3(path, mode, None)

    def chown_fuse_2(self, path: bytes, uid: int, gid: int) -> int:
        return self.chown_fuse_3(path, uid, gid, None)

    def truncate_fuse_2(self, path: bytes, size: int) -> int:
        return self.truncate_fuse_3(path, size, None)

    def ftruncate(self, path: bytes | None, size: int, info: Any) -> int:
        return self.truncate_fuse_3(path, size, info)

    def utimens_fuse_2(self, path: bytes, times: Any) -> int:
        return self.utimens_fuse_3(path, times, None)

    def rename_fuse_2(self, path: bytes, new: bytes) -> int:
        return self.rename_fuse_3(path, new, 0)

    def readdir_fuse_2(self, path: bytes | None, buffer: Any, fill: Any, offset: int, info: Any) -> int:
        def fill_plainly(buffer: Any, name: bytes, status: Any, next_offset: int, _flags: int) -> int:
            return int(fill(buffer, name, status, next_offset))

        return self.readdir_fuse_3(path, buffer, fill_plainly, offset, info, 0)

    # Paths

    @property
    def _union(self) -> Union:
        if not isinstance(self._tree, Union):
            raise failure(errno.EROFS)
        return self._tree

    def _node(self, path: bytes | None, info: Any = None) -> Node:
        if info and info.contents.fh:
            return self._handles[info.contents.fh].node
        if path is None:
            raise failure(errno.ENOENT)
        if self._hidden and (hidden := self._hidden.get(path)) is not None:
            return hidden
        if path == b"/":
            return self._tree.root
        return self._tree.lookup(*self._place(path))

    def _place(self, path: bytes) -> tuple[Directory, bytes]:
        above, _, name = path.rpartition(b"/")
        return self._directory(above), name

    def _directory(self, path: bytes) -> Directory:
        known = self._directories.get(path)
        if known is not None:
            return known
        above, _, name = path.rpartition(b"/")
        found = self._tree.lookup(self._directory(above), name)
        if not isinstance(found, Directory):
            raise failure(errno.ENOTDIR)
        self._directories[path] = found
        return found

    def _forget_directories(self) -> None:
        self._directories = {b"": self._tree.root}

    def _new(self, directory: Directory, mode: int) -> tuple[Owner, int]:
        """Return whom something new belongs to, and its mode, from which the caller's mask is taken (umask(2))."""
        context = mfusepy._libfuse.fuse_get_context().contents
        try:
            # A list of default permissions takes the mask's place (acl(5)).
            self._tree.attribute(directory, _DEFAULT_ACL)
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
                raise
            mode &= ~context.umask
        return Owner(context.uid, context.gid), mode


def _memory(buffer: Any, size: int) -> Any:
    """Return what a pointer of libfuse's leads to, without a copy."""
    return (mfusepy.ctypes.c_char * size).from_address(mfusepy.ctypes.addressof(buffer.contents))


def _nanoseconds(when: Any, now: int) -> int | None:
    if when.tv_nsec == _UTIME_OMIT:
        return None
    return now if when.tv_nsec == _UTIME_NOW else int(when.tv_sec * 1_000_000_000 + when.tv_nsec)
