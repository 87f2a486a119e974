"""Unpacking archives: a layer into a directory tree (OCI image specification, layer.md, "Applying Changesets"), or any
archive into a directory of a container.

The archive is untrusted. Every name is resolved beneath the tree's root by openat2(2) with RESOLVE_IN_ROOT: a
symbolic link on the way may be crossed, and leads to where it would in a container whose root the tree is.
The last part of a name is never followed, only replaced. Nothing is remembered of an entry but eight bytes,
and of a directory what has to wait until nothing more is put in it.
"""

from __future__ import annotations

import errno
import os
import stat
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from transom.errors import Conflict, CorruptContent, Forbidden, InvalidParameter, StorageFull, Unsupported
from transom.graph.archive import Data, Entry, Kind, read_archive, shown
from transom.graph.directories import Directories, Directory, clean
from transom.graph.trees import DIRECTORY, clear_directory, remove_entry
from transom.graph.whiteouts import (
    AUFS_PREFIX,
    OPAQUE_ATTRIBUTE,
    OPAQUE_NAME,
    PREFIX,
    Whiteouts,
    hidden_name,
    is_attribute_of_layer,
)

__all__ = ["Extracted", "KindsDiffer", "extract", "extract_below", "place_below"]

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: A piece of a file at least this long that is nothing but zeros becomes a hole.
_HOLE = 1 << 12
_ZEROS = bytes(1 << 20)
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
#: What a name, a link, a size or an attribute that cannot be right ends in.
_CORRUPT = frozenset(
    (
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.ELOOP,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENOENT,
        errno.EEXIST,
        errno.EXDEV,
        errno.EFBIG,
        errno.EMLINK,
        errno.E2BIG,
        errno.ERANGE,
    )
)
_CAPABILITY = b"security.capability"
#: Set on a directory, this changes the permissions of what is put in it afterwards (acl(5)).
_INHERITED = b"system.posix_acl_default"
_DEVICES = {
    Kind.CHARACTER_DEVICE: stat.S_IFCHR,
    Kind.BLOCK_DEVICE: stat.S_IFBLK,
    Kind.FIFO: stat.S_IFIFO,
}


class KindsDiffer(InvalidParameter):
    """A directory was to replace something else, or something else a directory."""

    def __init__(self, path: bytes, base: bytes, *, directory_is_there: bool) -> None:
        self.path = shown(b"/" + path)
        self.directory_is_there = directory_is_there
        there, new = ("directory", "non-directory")[:: 1 if directory_is_there else -1]
        super().__init__(f'cannot overwrite {there} "{self.path}" with {new} "{shown(b"/" + base)}"')


@dataclass(frozen=True, slots=True)
class Extracted:
    """What an archive had: bytes of its regular files and symbolic links, and the number of its entries."""

    size: int
    entries: int


def extract(stream: IO[bytes], tree: Path, *, whiteouts: Whiteouts = Whiteouts.APPLY) -> Extracted:
    """Unpack an uncompressed layer archive into a directory that exists.

    With `Whiteouts.APPLY` the tree has what the layers below left, and whiteouts remove from that, never what
    this archive put there. With `Whiteouts.OVERLAY` the tree is a layer by itself, to be mounted by
    overlayfs.

    Owners, permissions, extended attributes and times are as the archive says; attributes that the file
    system does not keep for a kind of file are left out, but for capabilities. Missing parents of an entry
    become directories of mode 0755 and the caller's user. The stream is read up to the archive's end; what
    follows is the caller's.

    Raises `CorruptContent` for what is not a layer archive, or for an entry that cannot be as it says,
    `StorageFull`, and `Unsupported`. What was unpacked until then stays in the tree.
    """
    with Directories(tree, whiteouts) as directories:
        return _extract(read_archive(stream), _Extractor(directories, whiteouts))


def extract_below(
    stream: IO[bytes],
    root: int,
    directory: bytes,
    *,
    keep_kinds: bool = False,
    owner: tuple[int, int] | None = None,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Unpack an uncompressed archive of any files into a directory below an open root.

    `directory` is its path in the root, without symbolic links; it exists, and an archive's entry for it is left out.
    What is there by an entry's name makes way, but directories are filled. With `keep_kinds` it is an
    `InvalidParameter` if a directory were to make way for something else, or something else for a directory. All get
    the `owner`, a user's and a group's number, if one is given. `check` is called before each entry; what it raises
    ends the unpacking.

    The rest is as for `extract`. Raises `Conflict` where something is mounted that an entry would replace, and
    `Forbidden` for what is read-only.
    """
    place_below(read_archive(stream), root, directory, keep_kinds=keep_kinds, owner=owner, check=check)


def place_below(
    entries: Iterable[Entry],
    root: int,
    directory: bytes,
    *,
    keep_kinds: bool = False,
    owner: tuple[int, int] | None = None,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Put entries, which need not come from an archive, into a directory below an open root, as `extract_below` does.

    The content of each is read before the next one is asked for.
    """
    whiteouts = Whiteouts.NONE
    with Directories(Path(f"/proc/self/fd/{root}"), whiteouts) as directories:
        base = directory.strip(b"/")
        _extract(entries, _Extractor(directories, whiteouts, base, keep_kinds=keep_kinds, owner=owner), check)


def _extract(found: Iterable[Entry], extractor: _Extractor, check: Callable[[], None] = lambda: None) -> Extracted:
    size = entries = 0
    for entry in found:
        check()
        try:
            extractor.unpack(entry)
        except OSError as error:
            raise _failure(error, entry) from error
        size += len(entry.link) if entry.kind is Kind.SYMLINK else entry.size
        entries += 1
    extractor.finish()
    return Extracted(size, entries)


def _failure(error: OSError, entry: Entry) -> Exception:
    """Return what an error of the system means that came while an entry was unpacked."""
    name = shown(entry.name)
    if error.errno in _FULL:
        return StorageFull(f"no space left to unpack {name!r}: free some, or move the data root to a larger disk")
    if error.errno in _CORRUPT or (error.errno == errno.EPERM and entry.kind is Kind.HARD_LINK):
        link = f" -> {shown(entry.link)!r}" if entry.link else ""
        return CorruptContent(f"the archive has an entry {name!r}{link} that cannot be: {os.strerror(error.errno)}")
    if error.errno == errno.ESTALE:
        return Conflict(f"cannot unpack {name!r}: its directory, or itself, was removed meanwhile")
    if error.errno == errno.EBUSY:
        return Conflict(f"cannot replace {name!r}: something is mounted there")
    if error.errno == errno.EROFS:
        return Forbidden(f"cannot unpack {name!r}: what is mounted there is read-only")
    if error.errno in (errno.EPERM, errno.EACCES):
        return Forbidden(f"unpacking {name!r} was not permitted: {error.strerror}; run the engine as root")
    return error


@dataclass(frozen=True, slots=True)
class _Pending:
    """What a directory gets at the end; the inode tells whether it is still the same one."""

    inode: int
    mtime: int
    inherited: bytes | None


class _Extractor:
    """Puts entries into a tree, one after the other."""

    def __init__(
        self,
        directories: Directories,
        whiteouts: Whiteouts,
        base: bytes = b"",
        *,
        keep_kinds: bool = False,
        owner: tuple[int, int] | None = None,
    ) -> None:
        self._directories = directories
        self._whiteouts = whiteouts
        self._base = base
        self._keep_kinds = keep_kinds
        self._owner = owner
        self._pending: dict[bytes, _Pending] = {}
        self._recent = array("q")
        self._unpacked: set[int] = set()

    def unpack(self, entry: Entry) -> None:
        """Put one entry into the tree. Raises `OSError` for what the system refuses."""
        path = clean(entry.name)
        if not path:
            if entry.kind is not Kind.DIRECTORY:
                raise CorruptContent(f"the archive has an entry {shown(entry.name)!r} in place of the root directory")
            if self._whiteouts is not Whiteouts.NONE:
                self._fill_directory(self._directories.root, entry)
            return
        if self._owner is not None:
            entry = replace(entry, uid=self._owner[0], gid=self._owner[1])
        above, _, name = self._below_base(path).rpartition(b"/")
        if self._whiteouts is not Whiteouts.NONE:
            if path.startswith(AUFS_PREFIX) and path != OPAQUE_NAME:
                return
            if name.startswith(PREFIX):
                self._hide(self._directories.find(above), name)
                return
        parent = self._directories.find(above)
        if entry.kind is Kind.FILE:
            parent = self._file(parent, above, name, entry)
        elif entry.kind is Kind.DIRECTORY:
            parent = self._directory(parent, above, name, entry)
        else:
            parent = self._other(parent, above, name, entry)
        if self._whiteouts is Whiteouts.APPLY:
            self._recent.append(hash(parent.below(name)))

    def finish(self) -> None:
        """Give the directories what had to wait: times, and permissions that files would have inherited."""
        for path, pending in self._pending.items():
            try:
                self._finish_directory(path, pending)
            except OSError as error:
                raise _failure(error, Entry(path, Kind.DIRECTORY)) from error

    def _finish_directory(self, path: bytes, pending: _Pending) -> None:
        descriptor = self._directories.reopen(path)
        if descriptor is None:
            return
        try:
            if os.fstat(descriptor).st_ino != pending.inode:
                return
            if pending.inherited is not None:
                _set_attributes(descriptor, {_INHERITED: pending.inherited}, path)
            os.utime(descriptor, ns=(pending.mtime, pending.mtime))
        finally:
            os.close(descriptor)

    def _hide(self, parent: Directory, whiteout: bytes) -> None:
        """Do what a whiteout says."""
        hidden = hidden_name(whiteout)
        if hidden is None:
            return
        if self._whiteouts is Whiteouts.OVERLAY:
            _hide_in_overlay(parent.descriptor, hidden)
            return
        if hidden:
            remove_entry(parent.descriptor, hidden, parent.path, self._is_unpacked)
        else:
            clear_directory(parent.descriptor, parent.path, self._is_unpacked)
        self._directories.forget()

    def _is_unpacked(self, path: bytes) -> bool:
        """Return whether this archive has put something at a path, so that its whiteouts do not mean it."""
        self._unpacked.update(self._recent)
        del self._recent[:]
        return hash(path) in self._unpacked

    def _below_base(self, path: bytes) -> bytes:
        return self._base + b"/" + path if self._base else path

    def _make_way(self, parent: Directory, above: bytes, name: bytes, entry: Entry) -> Directory:
        """Remove what has a name that an entry needs, and return its directory, opened anew if it must be."""
        status = os.stat(name, dir_fd=parent.descriptor, follow_symlinks=False)
        if self._keep_kinds and stat.S_ISDIR(status.st_mode) != (entry.kind is Kind.DIRECTORY):
            raise KindsDiffer(parent.below(name), self._base, directory_is_there=stat.S_ISDIR(status.st_mode))
        if stat.S_ISDIR(status.st_mode):
            remove_entry(parent.descriptor, name)
        else:
            os.unlink(name, dir_fd=parent.descriptor)
            if not stat.S_ISLNK(status.st_mode):
                return parent
        self._directories.forget()
        return self._directories.find(above)

    def _file(self, parent: Directory, above: bytes, name: bytes, entry: Entry) -> Directory:
        permissions = entry.mode & 0o777
        try:
            descriptor = os.open(name, _CREATE, permissions, dir_fd=parent.descriptor)
        except FileExistsError:
            parent = self._make_way(parent, above, name, entry)
            descriptor = os.open(name, _CREATE, permissions, dir_fd=parent.descriptor)
        try:
            if entry.size and entry.content is not None:
                _write(descriptor, entry.content, entry.size)
            _set_owner_and_mode(descriptor, os.fstat(descriptor), entry)
            if entry.attributes:
                _set_attributes(descriptor, entry.attributes, entry.name)
            os.utime(descriptor, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(descriptor)
        return parent

    def _directory(self, parent: Directory, above: bytes, name: bytes, entry: Entry) -> Directory:
        try:
            made = self._directories.make(parent, name)
        except FileExistsError:
            parent = self._make_way(parent, above, name, entry)
            made = self._directories.make(parent, name)
        self._fill_directory(made, entry)
        return parent

    def _fill_directory(self, directory: Directory, entry: Entry) -> None:
        """Give a directory, which may have been there before, what its entry says."""
        status = os.fstat(directory.descriptor)
        _set_owner_and_mode(directory.descriptor, status, entry)
        attributes = dict(entry.attributes)
        inherited = attributes.pop(_INHERITED, None)
        if self._whiteouts is not Whiteouts.NONE:
            _remove_other_attributes(directory.descriptor, attributes)
        _set_attributes(directory.descriptor, attributes, entry.name)
        self._pending[directory.path] = _Pending(status.st_ino, entry.mtime, inherited)

    def _other(self, parent: Directory, above: bytes, name: bytes, entry: Entry) -> Directory:
        """Make what is neither file nor directory."""
        try:
            self._make_other(parent, name, entry)
        except FileExistsError:
            parent = self._make_way(parent, above, name, entry)
            self._make_other(parent, name, entry)
        if entry.kind is Kind.HARD_LINK:
            return parent
        at = parent.descriptor
        os.chown(name, entry.uid, entry.gid, dir_fd=at, follow_symlinks=False)
        if entry.kind is not Kind.SYMLINK:
            os.chmod(name, entry.mode, dir_fd=at)
        if entry.attributes:
            _set_attributes(f"/proc/self/fd/{at}/".encode() + name, entry.attributes, entry.name)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=at, follow_symlinks=False)
        return parent

    def _make_other(self, parent: Directory, name: bytes, entry: Entry) -> None:
        if entry.kind is Kind.SYMLINK:
            os.symlink(entry.link, name, dir_fd=parent.descriptor)
        elif entry.kind is Kind.HARD_LINK:
            above, _, target = self._below_base(clean(entry.link)).rpartition(b"/")
            source = self._directories.find(above)
            os.link(
                target,
                name,
                src_dir_fd=source.descriptor,
                dst_dir_fd=parent.descriptor,
                follow_symlinks=False,
            )
        else:
            device = os.makedev(entry.major, entry.minor)
            os.mknod(name, _DEVICES[entry.kind] | entry.mode, device, dir_fd=parent.descriptor)


def _hide_in_overlay(directory: int, hidden: bytes) -> None:
    """Hide a name, or all that the layers below have in a directory, in overlayfs's form."""
    if not hidden:
        os.setxattr(directory, OPAQUE_ATTRIBUTE, b"y")
        return
    try:
        os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=directory)
    except FileExistsError:
        # The archive put it there itself. A directory would let through what the layers below have in theirs.
        try:
            descriptor = os.open(hidden, DIRECTORY, dir_fd=directory)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
                raise
            return
        try:
            os.setxattr(descriptor, OPAQUE_ATTRIBUTE, b"y")
        finally:
            os.close(descriptor)


def _write(descriptor: int, content: Data, size: int) -> None:
    """Write a file's data, leaving holes where there is none, and where it is zeros in large pieces."""
    end = 0
    for offset, piece in content.pieces():
        length = len(piece)
        if length >= _HOLE and _ZEROS.startswith(piece):
            continue
        end = offset + length
        written = os.pwrite(descriptor, piece, offset)
        while written < length:
            written += os.pwrite(descriptor, piece[written:], offset + written)
    if end < size:
        os.ftruncate(descriptor, size)


def _set_owner_and_mode(descriptor: int, status: os.stat_result, entry: Entry) -> None:
    """Change what differs. The mode comes after the owner, whose change takes set-user-ID away (chown(2))."""
    changes_owner = status.st_uid != entry.uid or status.st_gid != entry.gid
    if changes_owner:
        os.fchown(descriptor, entry.uid, entry.gid)
    if status.st_mode & 0o7777 != entry.mode or (changes_owner and entry.mode & 0o6000):
        os.fchmod(descriptor, entry.mode)


def _set_attributes(target: int | bytes, attributes: Mapping[bytes, bytes], name: bytes) -> None:
    """Set extended attributes of an open file, or of what is at a path; after the owner, whose change takes
    capabilities away.

    What the file system or the kernel does not keep for such a file is left out, but for capabilities,
    without which a program would fail later and nobody knew why.
    """
    for attribute, value in attributes.items():
        if not is_attribute_of_layer(attribute):
            continue
        try:
            if isinstance(target, int):
                os.setxattr(target, attribute, value)
            else:
                os.setxattr(target, attribute, value, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EPERM):
                raise
            if attribute == _CAPABILITY:
                raise Unsupported(
                    f"cannot give {shown(name)!r} its capabilities: {error.strerror}; "
                    "put the data root on a file system with extended attributes and run the engine as root"
                ) from error


def _remove_other_attributes(descriptor: int, attributes: Mapping[bytes, bytes]) -> None:
    """Remove the extended attributes that a directory had before and that its entry does not have."""
    for name in map(os.fsencode, os.listxattr(descriptor)):
        if name not in attributes and is_attribute_of_layer(name):
            os.removexattr(descriptor, name)
