"""Comparing two directory trees: what is in the upper one that is not, or not like this, in the lower one.

The upper one is either a whole tree, or the upper directory of an overlayfs in the form that it has on disk.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from transom.drivers.graph import ChangeKind
from transom.errors import Unsupported
from transom.graph.whiteouts import OPAQUE_ATTRIBUTE, is_attribute_of_layer, is_whiteout_device
from transom.runtime.syscalls.files import GONE, RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS, openat2

__all__ = ["ComparedTree", "Difference", "UnchangedLinks", "compare", "read_attributes"]

_CHUNK = 1 << 20
#: A directory or file with one of these is not whole: overlayfs finds the rest in a lower directory.
_PARTIAL = (b"trusted.overlay.redirect", b"trusted.overlay.metacopy")


@dataclass(frozen=True, slots=True)
class Difference:
    """A path that differs, relative to the root, whose own path is b"".

    For what was not deleted: its status, all its extended attributes, and the descriptor of the directory
    that it is in, which is open until the next difference is asked for; that is -1 for directories.
    """

    path: bytes
    kind: ChangeKind
    status: os.stat_result | None = None
    attributes: Mapping[bytes, bytes] = field(default_factory=dict)
    directory: int = -1

    @property
    def name(self) -> bytes:
        """The last part of the path."""
        return self.path.rpartition(b"/")[2]


class ComparedTree(Protocol):
    """A tree, one directory of which was entered. Names are those of what is in it, and b"." is its own.

    Names are never followed through symbolic links. All raise `OSError`.
    """

    def enter(self, path: bytes) -> None:
        """Go to a directory. If there is none by that path, it is as if there were an empty one."""

    def names(self) -> set[bytes]:
        """Return what is in the directory."""

    def status(self, name: bytes) -> os.stat_result | None:
        """Return the status of a file; None if there is none."""

    def attributes(self, name: bytes) -> dict[bytes, bytes]:
        """Return the extended attributes of a file; none if it is gone."""

    def link(self, name: bytes) -> bytes:
        """Return where a symbolic link leads to."""

    def open(self, name: bytes) -> int:
        """Open a regular file to be read; the descriptor is the caller's to close."""


class _Tree:
    """A tree that is a directory; without `root` there is nothing in it."""

    def __init__(self, root: Path | None) -> None:
        self.root = None if root is None else os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.current: int | None = None

    def close(self) -> None:
        self.leave()
        if self.root is not None:
            os.close(self.root)

    def leave(self) -> None:
        if self.current is not None:
            os.close(self.current)
            self.current = None

    def enter(self, path: bytes) -> None:
        self.leave()
        if self.root is None:
            return
        try:
            self.current = openat2(
                self.root,
                path or b".",
                os.O_RDONLY | os.O_DIRECTORY,
                resolve=RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS,
            )
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise Unsupported(
                    f"cannot store {path[:40]!r}… in a layer: its path is longer than 4095 bytes; move it up"
                ) from error
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise

    def names(self) -> set[bytes]:
        if self.current is None:
            return set()
        with os.scandir(self.current) as entries:
            return {os.fsencode(entry.name) for entry in entries}

    def status(self, name: bytes) -> os.stat_result | None:
        if self.current is None:
            return None
        try:
            return os.stat(name, dir_fd=self.current, follow_symlinks=False)
        except OSError as error:
            if error.errno not in GONE:
                raise
            return None

    def attributes(self, name: bytes) -> dict[bytes, bytes]:
        return read_attributes(self.current, name) if self.current is not None else {}

    def link(self, name: bytes) -> bytes:
        return os.readlink(name, dir_fd=self.current)

    def open(self, name: bytes) -> int:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.current)


@dataclass(slots=True)
class _Level:
    """A directory on the way down: what is left to do in it, and whether it was yielded itself."""

    path: bytes
    status: os.stat_result
    attributes: Mapping[bytes, bytes]
    opaque: bool
    yielded: bool
    names: Iterator[bytes] = field(default_factory=lambda: iter(()))


class UnchangedLinks:
    """Names that do not differ of files that have several. One of those may be new, and is the same file as these."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int], list[tuple[Difference, list[_Level]]]] = {}

    def add(self, name: Difference, above: list[_Level]) -> None:
        """Note a name, and the directories above it."""
        assert name.status is not None
        self._found.setdefault((name.status.st_dev, name.status.st_ino), []).append((name, above))

    def of(self, file: tuple[int, int]) -> Iterator[Difference]:
        """Yield the names of a file, by its device and inode, as if they differed, once they were all compared."""
        for name, above in self._found.get(file, ()):
            yield from _yield_levels(above)
            yield name


def compare(
    lower: Path | ComparedTree | None,
    upper: Path,
    *,
    overlay: bool = False,
    directory_times: bool = False,
    whole_files: bool = False,
    placeholders: Collection[bytes] = (),
    unchanged_links: UnchangedLinks | None = None,
) -> Iterator[Difference]:
    """Yield what differs, in the order of the paths' parts, parents first; without `lower`, all there is.

    Type, permissions, owner, group, extended attributes, targets of links and numbers of devices are
    compared, and of files size, time and, in an overlay or where the times are whole seconds and so perhaps not exact,
    content. A directory in which anything differs differs. `directory_times` says whether it does so by its time
    alone too.

    `placeholders` are paths, relative to the root, that are no difference if the upper tree alone has an empty file or
    a directory there; what is in such a directory is.

    `unchanged_links` are filled while this goes on.

    With `whole_files` all that is no directory in the upper tree differs, without a look at the lower one: so it is
    in an overlay, where a directory may be there only for what is in it. What an opaque directory hides is not listed.

    With `overlay`, `upper` is the upper directory of an overlayfs. Without `lower`, all of its whiteouts are
    yielded as deleted; else those that hide something. Raises `Unsupported` where it is not whole by itself.
    """
    with ExitStack() as stack:
        below = stack.enter_context(closing(_Tree(lower))) if lower is None or isinstance(lower, Path) else lower
        above = stack.enter_context(closing(_Tree(upper)))
        comparison = _Comparison(
            below, above, lower is None, overlay, directory_times, whole_files, placeholders, unchanged_links
        )
        yield from comparison.run(upper.stat())


class _Comparison:
    def __init__(
        self,
        lower: ComparedTree,
        upper: _Tree,
        alone: bool,
        overlay: bool,
        directory_times: bool,
        whole_files: bool,
        placeholders: Collection[bytes],
        unchanged_links: UnchangedLinks | None,
    ) -> None:
        self._lower = lower
        self._upper = upper
        self._alone = alone
        self._overlay = overlay
        self._directory_times = directory_times
        self._whole_files = whole_files
        self._placeholders = frozenset(placeholders)
        self._unchanged_links = unchanged_links
        self._levels: list[_Level] = []

    def run(self, status: os.stat_result) -> Iterator[Difference]:
        self._enter(b"")
        attributes = self._attributes(b".", b"")
        before = self._lower.status(b".")
        differs = before is None or self._differs(b".", before, status, attributes)
        if differs:
            yield Difference(b"", ChangeKind.MODIFIED, status, attributes)
        self._descend(b"", status, attributes, yielded=differs)
        while self._levels:
            level = self._levels[-1]
            name = next(level.names, None)
            if name is None:
                self._levels.pop()
                if self._levels:
                    self._enter(self._levels[-1].path)
            else:
                yield from self._compare_name(level, name)

    def _compare_name(self, level: _Level, name: bytes) -> Iterator[Difference]:
        path = level.path + b"/" + name if level.path else name
        # What an opaque directory has is all its own.
        before = None if self._whole_files and level.opaque else self._lower.status(name)
        status = self._upper.status(name)
        if status is None or (self._overlay and is_whiteout_device(status)):
            if before is not None or (status is not None and self._alone):
                yield from self._ancestors()
                yield Difference(path, ChangeKind.DELETED)
            return
        attributes = self._attributes(name, path)
        directory = stat.S_ISDIR(status.st_mode)
        if before is None and path in self._placeholders and (directory or _is_empty_file(status)):
            kind = None
        elif before is None:
            kind = ChangeKind.ADDED
        elif (self._whole_files and not _is_carrier(directory, attributes)) or self._differs(
            name, before, status, attributes
        ):
            kind = ChangeKind.MODIFIED
        else:
            kind = None
        if kind is not None:
            yield from self._ancestors()
            at = self._upper.current if not directory and self._upper.current is not None else -1
            yield Difference(path, kind, status, attributes, at)
        elif before is not None and not directory and status.st_nlink > 1 and self._unchanged_links is not None:
            self._unchanged_links.add(Difference(path, ChangeKind.MODIFIED, status, attributes), list(self._levels))
        if directory and not (before is not None and os.path.samestat(before, status)):
            self._descend(path, status, attributes, yielded=kind is not None)

    def _enter(self, path: bytes) -> None:
        self._lower.enter(path)
        self._upper.enter(path)

    def _descend(
        self, path: bytes, status: os.stat_result, attributes: Mapping[bytes, bytes], *, yielded: bool
    ) -> None:
        opaque = attributes.get(OPAQUE_ATTRIBUTE) == b"y" or (bool(self._levels) and self._levels[-1].opaque)
        level = _Level(path, status, attributes, opaque, yielded)
        self._enter(path)
        names = self._upper.names()
        if not self._overlay or (opaque and not self._whole_files):
            names |= self._lower.names()
        level.names = iter(sorted(names))
        self._levels.append(level)

    def _ancestors(self) -> Iterator[Difference]:
        """Yield the directories above what differs, unless they were yielded."""
        yield from _yield_levels(self._levels)

    def _attributes(self, name: bytes, path: bytes) -> dict[bytes, bytes]:
        attributes = self._upper.attributes(name)
        if self._overlay:
            for partial in _PARTIAL:
                if partial in attributes:
                    raise Unsupported(
                        f"cannot read the overlay's {path!r} by itself: it has {partial.decode()}; "
                        "mount overlays with redirect_dir=off and metacopy=off"
                    )
        return attributes

    def _differs(
        self, name: bytes, before: os.stat_result, status: os.stat_result, attributes: Mapping[bytes, bytes]
    ) -> bool:
        if os.path.samestat(before, status):
            return False
        if (before.st_mode, before.st_uid, before.st_gid) != (status.st_mode, status.st_uid, status.st_gid):
            return True
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            if self._directory_times and before.st_mtime_ns != status.st_mtime_ns:
                return True
        elif (before.st_size, before.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
            return True
        if kind in (stat.S_IFCHR, stat.S_IFBLK) and before.st_rdev != status.st_rdev:
            return True
        if kind == stat.S_IFLNK and self._lower.link(name) != self._upper.link(name):
            return True
        if _of_layer(self._lower.attributes(name)) != _of_layer(attributes):
            return True
        # What is in an overlay's upper directory was opened for writing, whatever its time says.
        doubtful = self._overlay or status.st_mtime_ns % 1_000_000_000 == 0
        return kind == stat.S_IFREG and doubtful and self._content_differs(name)

    def _content_differs(self, name: bytes) -> bool:
        with ExitStack() as stack:
            descriptors = []
            for tree in (self._lower, self._upper):
                descriptors.append(tree.open(name))
                stack.callback(os.close, descriptors[-1])
            while True:
                one, other = (os.read(descriptor, _CHUNK) for descriptor in descriptors)
                if one != other:
                    return True
                if not one:
                    return False


def _yield_levels(levels: list[_Level]) -> Iterator[Difference]:
    for level in levels:
        if not level.yielded:
            level.yielded = True
            yield Difference(level.path, ChangeKind.MODIFIED, level.status, level.attributes)


def _is_carrier(directory: bool, attributes: Mapping[bytes, bytes]) -> bool:
    """Return whether a file of an overlay may be there only for what is in it."""
    return directory and attributes.get(OPAQUE_ATTRIBUTE) != b"y"


def _is_empty_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and not status.st_size


def read_attributes(directory: int, name: bytes) -> dict[bytes, bytes]:
    """Return the extended attributes of what has a name in an open directory; none if it is gone."""
    path = b"/proc/self/fd/%d/%b" % (directory, name)
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {os.fsencode(name): os.getxattr(path, name, follow_symlinks=False) for name in names}
    except OSError as error:
        if error.errno in (*GONE, errno.EOPNOTSUPP, errno.ENODATA):
            return {}
        raise


def _of_layer(attributes: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    return {name: value for name, value in attributes.items() if is_attribute_of_layer(name)}
