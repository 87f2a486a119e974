"""What COPY and ADD take from a tree: the files that a source names, found beneath the tree's root."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from transom.containers.paths import resolve
from transom.dockerfile.globs import Glob, has_wildcards
from transom.dockerfile.ignore import Patterns
from transom.errors import InvalidParameter
from transom.graph.archive import Entry, Kind
from transom.graph.tree_entries import file_entries, tree_entries
from transom.runtime.syscalls.files import openat2

__all__ = ["Found", "digest_entries", "find", "find_parents"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


@dataclass(frozen=True)
class Found:
    """One file or directory that a source names, below the open root of a tree.

    `path` is where it is, without symbolic links; `name` the last part of its name as the source has it; `below` is
    where it goes in the destination, relative to that, where it does not go there by its name.
    """

    root: int
    path: bytes
    name: bytes
    is_directory: bool
    below: bytes | None = None

    def entries(self, excludes: tuple[str, ...] = ()) -> Iterator[Entry]:
        """Yield what it is: of a directory what is in it, by relative names; of a file itself, by an empty name.

        `excludes` are patterns of what is left out. The entries' content must be read before the next one.
        """
        excluded = Patterns.of(excludes).matches
        if not self.is_directory:
            above, _, name = self.path.rpartition(b"/")
            if excluded(os.fsdecode(self.path.lstrip(b"/"))) or excluded(os.fsdecode(self.name)):
                return
            with _opened(self.root, above or b"/") as directory:
                for entry in file_entries(directory, name):
                    yield replace(entry, name=b"")
            return
        with _opened(self.root, self.path) as directory:
            yield from _whole(
                tree_entries(Path(f"/proc/self/fd/{directory}"), lambda path, _: not excluded(os.fsdecode(path)))
            )


class _opened:  # noqa: N801 it is used as a function
    def __init__(self, root: int, path: bytes) -> None:
        self._descriptor = openat2(root, path, _DIRECTORY)

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _whole(entries: Iterable[Entry]) -> Iterator[Entry]:
    yield from entries


def find(root: int, source: str, *, literally: bool = False) -> list[Found]:
    """Return what a source of COPY names: a path, or all that match one with wildcards, in the order of their names.

    The last part of a name may be a symbolic link, and stands for what it leads to. A pattern may match nothing; taken
    `literally` there are no patterns. Raises `InvalidParameter` if there is nothing by the name.
    """
    parts = [part for part in os.path.normpath("/" + source).split("/") if part]
    wild = () if literally else (number for number, part in enumerate(parts) if has_wildcards(part))
    plain = next(iter(wild), len(parts))
    if plain == len(parts):
        return [_found(root, "/".join(parts), source)]
    names = _matching(root, "/".join(parts[:plain]), parts[plain:])
    return [_found(root, name, source) for name in names]


def find_parents(root: int, source: str) -> list[Found]:
    """Return what a source of `COPY --parents` names, each with the place below the destination that its path gives it.

    `/./` in the source says where that path begins. What matches comes with the directories on the way to it, and a
    directory with its own mode and owner.
    """
    base, separator, rest = source.partition("/./")
    base, rest = (base, rest) if separator else ("", source)
    found: dict[tuple[bytes, bool], Found] = {}
    top = os.fsdecode(resolve(root, os.fsencode("/" + base))).strip("/")
    parts = [part for part in os.path.normpath("/" + rest).split("/") if part]
    names = _matching(root, top, parts) if any(map(has_wildcards, parts)) else ["/".join(filter(None, (top, *parts)))]
    for name in names:
        item = _found(root, name, source)
        relative = os.fsencode(name[len(top) :].strip("/"))
        for above in _directories(relative, whole=item.is_directory):
            path = b"/".join(filter(None, (os.fsencode(top), above)))
            found.setdefault((above, False), Found(root, path, b"", is_directory=False, below=above))
        found[relative, item.is_directory] = replace(item, below=relative)
    return list(found.values())


def _directories(path: bytes, *, whole: bool) -> Iterator[bytes]:
    """Yield the directories that a path goes through, the uppermost first; the `whole` path is one, too."""
    parts = [part for part in path.split(b"/") if part]
    for count in range(1, len(parts) + whole):
        yield b"/".join(parts[:count])


def _matching(root: int, base: str, patterns: list[str]) -> list[str]:
    """Return the names below a directory that match patterns, one for each part, sorted; links are not followed."""
    pattern, *rest = patterns
    if pattern == "**":
        deeper = [name for name, directory in _names(root, base) if directory]
        found = _matching(root, base, rest) if rest else [_joined(base, name) for name, _ in _names(root, base)]
        return sorted({*found, *(item for name in deeper for item in _matching(root, _joined(base, name), patterns))})
    matches = [(name, directory) for name, directory in _names(root, base) if Glob(pattern).matches(name)]
    if not rest:
        return [_joined(base, name) for name, _ in matches]
    return [
        found
        for name, directory in matches
        if directory
        for found in _matching(root, _joined(base, name), rest)
    ]  # fmt: skip


def _joined(base: str, name: str) -> str:
    return f"{base}/{name}" if base else name


def _names(root: int, path: str) -> list[tuple[str, bool]]:
    try:
        directory = openat2(root, path or ".", _DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return []
    try:
        with os.scandir(directory) as entries:
            return sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    finally:
        os.close(directory)


def _found(root: int, name: str, source: str) -> Found:
    path = resolve(root, os.fsencode("/" + name))
    try:
        descriptor = openat2(root, path, os.O_PATH | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidParameter(
            f'failed to compute cache key: "/{source.lstrip("/")}": not found: it is not in the build context, or'
            " excluded by .dockerignore"
        ) from None
    try:
        is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
    return Found(root, path, os.fsencode(name.rpartition("/")[2]), is_directory)


def digest_entries(entries: Iterable[Entry], check: Callable[[], None]) -> str:
    """Return a digest of what entries are: names, kinds, owners, modes, attributes and content, but no times."""
    whole = hashlib.sha256()
    for entry in entries:
        check()
        content = hashlib.sha256()
        if entry.kind is Kind.FILE and entry.content is not None:
            for offset, piece in entry.content.pieces():
                content.update(offset.to_bytes(8, "big") + len(piece).to_bytes(8, "big"))
                content.update(piece)
        mode = 0 if entry.kind is Kind.SYMLINK else entry.mode
        numbers = (mode, entry.uid, entry.gid, entry.size, entry.major, entry.minor)
        fields = (
            entry.name,
            entry.kind.value,
            b" ".join(b"%d" % number for number in numbers),
            entry.link,
            *(part for name in sorted(entry.attributes) for part in (name, entry.attributes[name])),
            content.digest(),
        )
        whole.update(len(fields).to_bytes(4, "big"))
        for field in fields:
            whole.update(len(field).to_bytes(8, "big"))
            whole.update(field)
    return whole.hexdigest()
