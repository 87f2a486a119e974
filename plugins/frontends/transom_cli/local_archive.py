"""Local files as a tar archive, and an archive as local files: what `cp` and `build` send and what they get.

The standard library's `tarfile` makes and reads the headers. Files are opened, made and named by descriptors of their
directories, never through a symbolic link that an archive could have brought.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, cast

from transom_cli.errors import CommandFailed

__all__ = ["END", "Chunks", "encode", "encode_content", "pack", "unpack"]

_CHUNK = 256 << 10
#: What an archive ends with.
END = bytes(2 * tarfile.BLOCKSIZE)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ATTRIBUTE = "SCHILY.xattr."
_CAPABILITY = "security.capability"
_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}
_DEVICES = {tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK, tarfile.FIFOTYPE: stat.S_IFIFO}


class Chunks:
    """A body that arrives in chunks, as a file to read. `total` counts its bytes."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._waiting = b""
        self.total = 0

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer only at the end."""
        parts = []
        while size:
            if not self._waiting:
                self._waiting = next(self._chunks, b"")
                self.total += len(self._waiting)
                if not self._waiting:
                    break
            part, self._waiting = self._waiting[:size], self._waiting[size:]
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def drain(self) -> None:
        """Read to the end."""
        while self.read(_CHUNK):
            pass


# To an archive


def pack(directory: str, name: str, rename: Callable[[str], str]) -> Iterator[bytes]:
    """Yield, in pieces, the archive of what is called `name` in a directory, `.` for all that is in it.

    Each entry is called as `rename` says for its path in the directory; directories end with a slash. Sockets are left
    out. Raises `CommandFailed`.
    """
    links: dict[tuple[int, int], str] = {}
    waiting = [(os.path.join(directory, name), name)]
    try:
        while waiting:
            path, shown = waiting.pop()
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                # It is gone since its directory was read.
                continue
            yield from encode(path, rename(shown), status, links)
            if stat.S_ISDIR(status.st_mode):
                prefix = shown.rstrip("/") + "/"
                names = sorted(os.listdir(path), key=os.fsencode, reverse=True)
                waiting += [(os.path.join(path, below), prefix + below) for below in names]
    except OSError as error:
        raise _failed(error) from error
    yield END


def encode(
    path: str, name: str, status: os.stat_result, links: dict[tuple[int, int], str], *, anonymous: bool = False
) -> Iterator[bytes]:
    """Yield the entry of one file, given its status; nothing for a socket. `links` has the names of hard links so far.

    One that is `anonymous` belongs to root, whoever it belongs to here. A file that changes meanwhile raises
    `CommandFailed` then; otherwise it is cut, or filled with zeros. Raises `OSError`.
    """
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.mode = stat.S_IMODE(status.st_mode)
    entry.uid, entry.gid = (0, 0) if anonymous else (status.st_uid, status.st_gid)
    entry.mtime = int(status.st_mtime)
    if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        entry.devmajor, entry.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    if kind == tarfile.SYMTYPE:
        entry.linkname = os.readlink(path)
    elif kind != tarfile.DIRTYPE and status.st_nlink > 1:
        first = links.setdefault((status.st_dev, status.st_ino), name)
        if first != name:
            entry.type, entry.linkname = tarfile.LNKTYPE, first
    if entry.type != tarfile.REGTYPE:
        yield _header(entry)
        return
    entry.size = status.st_size
    try:
        capability = os.getxattr(path, _CAPABILITY, follow_symlinks=False)
    except OSError:
        # None, or a file system that has none.
        pass
    else:
        entry.pax_headers = {_ATTRIBUTE + _CAPABILITY: capability.decode("utf-8", "surrogateescape")}
    with open(path, "rb", opener=lambda file, flags: os.open(file, flags | os.O_NOFOLLOW)) as file:
        yield _header(entry)
        yield from _content(file, entry.size)
        if anonymous and _version(os.fstat(file.fileno())) != _version(status):
            raise CommandFailed(f"{path} has changed while it was read")


def encode_content(name: str, content: bytes) -> Iterator[bytes]:
    """Yield the entry of a regular file of root's that is not on the disk."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    yield _header(entry)
    yield content + bytes(-len(content) % tarfile.BLOCKSIZE)


def _version(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _header(entry: tarfile.TarInfo) -> bytes:
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _content(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield a file's bytes, as many as its header has said, and what fills the last block."""
    left = size
    while left:
        data = file.read(min(left, _CHUNK)) or bytes(min(left, _CHUNK))
        yield data
        left -= len(data)
    if size % tarfile.BLOCKSIZE:
        yield bytes(-size % tarfile.BLOCKSIZE)


# From an archive


def unpack(source: Chunks, directory: str, rename: Callable[[str], str]) -> None:
    """Unpack an archive into a local directory, each entry called as `rename` says.

    What is made belongs to the caller. What is there is replaced; but a directory stays one, and what is none does not
    become one. Raises `CommandFailed`.
    """
    try:
        root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _failed(error) from error
    try:
        _Unpacking(root, directory, rename).run(source)
    except OSError as error:
        raise _failed(error) from error
    except tarfile.TarError as error:
        raise CommandFailed(f"the archive that the daemon has sent is damaged: {error}") from error
    finally:
        os.close(root)


class _Unpacking:
    def __init__(self, root: int, directory: str, rename: Callable[[str], str]) -> None:
        self._root = root
        self._directory = directory
        self._rename = rename
        #: Times of directories, which the making of files in them would change.
        self._times: dict[str, int] = {}

    def run(self, source: Chunks) -> None:
        file = cast("IO[bytes]", source)
        with tarfile.open(
            fileobj=file, mode="r|", bufsize=_CHUNK, encoding="utf-8", errors="surrogateescape"
        ) as archive:
            for entry in archive:
                self._unpack(archive, entry)
                # It keeps every entry that it has read otherwise.
                archive.members = []  # type: ignore[attr-defined]
        source.drain()
        for path, mtime in self._times.items():
            above, name = self._open_above(path)
            try:
                os.utime(name or ".", ns=(mtime, mtime), dir_fd=above, follow_symlinks=False)
            finally:
                os.close(above)

    def _unpack(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        path = self._inside(self._rename(entry.name + ("/" if entry.isdir() else "")))
        if not path:
            return
        above, name = self._open_above(path)
        try:
            exists = self._make_way(above, name, path, entry)
            self._make(archive, entry, above, name, exists)
            if not entry.islnk():
                self._settle(entry, above, name)
        finally:
            os.close(above)
        if entry.isdir():
            self._times[path] = _nanoseconds(entry)

    def _inside(self, name: str) -> str:
        """Return a clean path relative to the directory. Raises `CommandFailed` for one that leads out of it."""
        clean = os.path.normpath(name.lstrip("/") or ".")
        if clean == ".." or clean.startswith("../"):
            raise CommandFailed(f'"{name}" is outside of "{self._directory}"')
        return "" if clean == "." else clean

    def _open_above(self, path: str) -> tuple[int, str]:
        """Open the directory that a path is in, made where it is missing, and return it with the path's last part."""
        *parts, name = path.split("/")
        current = os.dup(self._root)
        for part in parts:
            try:
                try:
                    following = os.open(part, _DIRECTORY, dir_fd=current)
                except FileNotFoundError:
                    os.mkdir(part, dir_fd=current)
                    following = os.open(part, _DIRECTORY, dir_fd=current)
            finally:
                os.close(current)
            current = following
        return current, name

    def _make_way(self, above: int, name: str, path: str, entry: tarfile.TarInfo) -> bool:
        """Remove what an entry replaces; return whether a directory is there that it fills."""
        try:
            status = os.stat(name, dir_fd=above, follow_symlinks=False)
        except FileNotFoundError:
            return False
        is_directory = stat.S_ISDIR(status.st_mode)
        if is_directory != entry.isdir():
            there, new = ("directory", "non-directory")[:: 1 if is_directory else -1]
            full = os.path.join(self._directory, path)
            raise CommandFailed(f'cannot overwrite {there} "{full}" with {new} "{self._directory}"')
        if not is_directory:
            os.unlink(name, dir_fd=above)
        return is_directory

    def _make(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, above: int, name: str, exists: bool) -> None:
        if entry.isdir():
            if not exists:
                os.mkdir(name, 0o700, dir_fd=above)
        elif entry.issym():
            os.symlink(entry.linkname, name, dir_fd=above)
        elif entry.islnk():
            source, first = self._open_above(self._inside(self._rename(entry.linkname)))
            try:
                os.link(first, name, src_dir_fd=source, dst_dir_fd=above, follow_symlinks=False)
            finally:
                os.close(source)
        elif entry.type in _DEVICES:
            os.mknod(name, _DEVICES[entry.type] | 0o600, os.makedev(entry.devmajor, entry.devminor), dir_fd=above)
        elif content := archive.extractfile(entry):
            self._write(content, entry, above, name)

    def _write(self, content: IO[bytes], entry: tarfile.TarInfo, above: int, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(name, flags, 0o600, dir_fd=above), "wb") as file:
            while data := content.read(_CHUNK):
                if data.count(0) == len(data):
                    file.seek(len(data), os.SEEK_CUR)
                else:
                    file.write(data)
            file.truncate(entry.size)

    def _settle(self, entry: tarfile.TarInfo, above: int, name: str) -> None:
        """Give what was made its permissions, attributes and time."""
        place = f"/proc/self/fd/{above}/{name}"
        if not entry.issym():
            os.chmod(place, entry.mode & 0o7777)
        for key, value in entry.pax_headers.items():
            if key.startswith(_ATTRIBUTE):
                _set_attribute(place, key.removeprefix(_ATTRIBUTE), value.encode("utf-8", "surrogateescape"))
        if not entry.isdir():
            time = _nanoseconds(entry)
            os.utime(name, ns=(time, time), dir_fd=above, follow_symlinks=False)


def _set_attribute(place: str, name: str, value: bytes) -> None:
    try:
        os.setxattr(place, name, value, follow_symlinks=False)
    except OSError:
        # Not everybody may set all of them, and not every file system has them.
        return


def _nanoseconds(entry: tarfile.TarInfo) -> int:
    return int(float(entry.mtime) * 1_000_000_000)


def _failed(error: OSError) -> CommandFailed:
    name: Any = error.filename
    return CommandFailed(f"{name}: {(error.strerror or '').lower()}" if name else (error.strerror or str(error)))
