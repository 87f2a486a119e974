"""Putting files into a stage, as COPY and ADD do: where each goes, whose it is, what makes way."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from transom.containers.paths import resolve
from transom.containers.rootfs import make_directory
from transom.errors import InvalidParameter
from transom.graph.archive import Entry, Kind
from transom.graph.extract import KindsDiffer, place_below
from transom.runtime.syscalls.files import openat2
from transom_builder.modes import Mode

__all__ = ["Copied", "Manner", "copy_into", "is_directory", "place"]


class Copied(Protocol):
    """Something that is copied, as `sources.Found` is."""

    @property
    def name(self) -> bytes:
        """The last part of its name."""

    @property
    def below(self) -> bytes | None:
        """Where it goes in the destination, where that is not by its name."""

    @property
    def is_directory(self) -> bool:
        """Whether what is in it is copied, and not it itself."""

    def entries(self, excludes: tuple[str, ...] = ()) -> Iterator[Entry]:
        """Yield what is copied."""


@runtime_checkable
class Archive(Protocol):
    """Something whose content is unpacked into a directory."""

    def unpack(self, top: int, target: bytes, owner: tuple[int, int] | None, check: Callable[[], None]) -> None:
        """Unpack it into a directory below an open root."""


@dataclass(frozen=True)
class Manner:
    """How files are copied: their owner and group and their mode, where those are not what they were, and what is
    left out."""

    owner: tuple[int, int] | None = None
    mode: Mode | None = None
    excludes: tuple[str, ...] = ()


def copy_into(tree: Path, found: Iterable[Copied], destination: str, manner: Manner, check: Callable[[], None]) -> None:
    """Copy what was found into a tree, which is mounted, by Docker's rules.

    `destination` is an absolute path, which symbolic links may lead elsewhere beneath the tree's root; with a slash at
    its end it is a directory. What is in a directory is copied, and the directory's own mode and owner are not. Raises
    `InvalidParameter` where a directory would replace something else, or something else a directory.
    """
    top = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for item in found:
            target = _target(top, item, destination)
            if isinstance(item, Archive):
                _make(tree, target, replace(manner, mode=None))
                item.unpack(top, target, manner.owner, check)
                continue
            _make(tree, target if item.is_directory else target.rpartition(b"/")[0], manner)
            entries = _renamed(item.entries(manner.excludes), target.strip(b"/"))
            place(top, (_changed(entry, manner) for entry in entries), check)
    finally:
        os.close(top)


def place(top: int, entries: Iterable[Entry], check: Callable[[], None]) -> None:
    """Put entries into a tree by its open root, by names relative to it."""
    try:
        place_below(entries, top, b"", keep_kinds=True, check=check)
    except KindsDiffer as error:
        if error.directory_is_there:
            raise InvalidParameter(f"cannot replace to directory {error.path} with file") from error
        raise InvalidParameter(f"cannot copy to non-directory: {error.path}") from error


def is_directory(top: int, path: bytes) -> bool:
    """Return whether there is a directory at a path below an open root."""
    try:
        descriptor = openat2(top, path, os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise
    os.close(descriptor)
    return True


def _target(top: int, item: Copied, destination: str) -> bytes:
    """Return where something goes, without symbolic links."""
    base = os.fsencode(destination)
    if item.below is not None:
        return resolve(top, base + b"/" + item.below)
    target = resolve(top, base)
    if not item.is_directory and (base.endswith(b"/") or is_directory(top, target)):
        # A link that is there by this name makes way.
        return target.rstrip(b"/") + b"/" + item.name
    return target


def _make(tree: Path, path: bytes, manner: Manner) -> None:
    if not path.strip(b"/"):
        return
    try:
        mode = 0o755 if manner.mode is None else manner.mode.made
        make_directory(tree, os.fsdecode(path), manner.owner or (0, 0), mode)
    except NotADirectoryError as error:
        raise InvalidParameter(f"cannot copy to non-directory: {os.fsdecode(path)}") from error


def _renamed(entries: Iterable[Entry], base: bytes) -> Iterator[Entry]:
    for entry in entries:
        link = _below(base, entry.link) if entry.kind is Kind.HARD_LINK else entry.link
        yield replace(entry, name=_below(base, entry.name), link=link)


def _below(base: bytes, name: bytes) -> bytes:
    return b"/".join(filter(None, (base, name)))


def _changed(entry: Entry, manner: Manner) -> Entry:
    if manner.owner is not None:
        entry = replace(entry, uid=manner.owner[0], gid=manner.owner[1])
    if manner.mode is not None and entry.kind is not Kind.SYMLINK:
        entry = replace(entry, mode=manner.mode(entry.mode, entry.kind is Kind.DIRECTORY))
    return entry
