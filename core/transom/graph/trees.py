"""Directory trees on disk: removing them, however deep they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["DIRECTORY", "clear_directory", "remove_entry", "tree_size"]

#: How a directory is opened to work in it: never through a symbolic link.
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def tree_size(root: Path) -> int:
    """Return the bytes of the files in a directory and below it, those with several names once.

    What goes away meanwhile, and what is so deep that it has no path, is left out.
    """
    total = 0
    seen: set[tuple[int, int]] = set()
    waiting = [os.fspath(root)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                status = entry.stat(follow_symlinks=False)
                if status.st_nlink == 1 or (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_size
    return total


def _none(_path: bytes) -> bool:
    return False


@dataclass
class _Level:
    """A directory on the way down: its path, the directories in it, and whether anything stays."""

    path: bytes
    directories: list[bytes] = field(default_factory=list)
    kept: bool = False


def remove_entry(directory: int, name: bytes, path: bytes = b"", keep: Callable[[bytes], bool] = _none) -> None:
    """Remove what is called `name` in an open directory, with all that is in it; harmless if there is
    nothing.

    `path` is what the directory is called in calls of `keep`, which says of a path below it, joined with
    slashes, that it stays. Directories on the way to what stays do so as well.
    """
    below = path + b"/" + name if path else name
    try:
        child = os.open(name, DIRECTORY, dir_fd=directory)
    except FileNotFoundError:
        return
    except OSError:
        # Not a directory: a symbolic link gives ELOOP, a device whose driver is not there ENXIO, a file
        # ENOTDIR.
        if not keep(below):
            os.unlink(name, dir_fd=directory)
        return
    try:
        kept = _clear(child, below, keep)
    finally:
        os.close(child)
    if not kept and not keep(below):
        os.rmdir(name, dir_fd=directory)


def clear_directory(directory: int, path: bytes = b"", keep: Callable[[bytes], bool] = _none) -> None:
    """Remove all that is in an open directory, but what `keep` says stays, as `remove_entry` does."""
    _clear(directory, path, keep)


def _clear(directory: int, path: bytes, keep: Callable[[bytes], bool]) -> bool:
    """Empty a directory and return whether anything stayed.

    It goes down and, by `..`, up again with one open descriptor, so depth is bounded by neither the stack,
    nor the number of descriptors, nor the length of paths.
    """
    levels = [_Level(path)]
    current = os.open(b".", DIRECTORY, dir_fd=directory)
    try:
        _remove_files(current, levels[0], keep)
        while True:
            level = levels[-1]
            if level.directories:
                name = level.directories[-1]
                current = _move(current, name)
                levels.append(_Level(level.path + b"/" + name if level.path else name))
                _remove_files(current, levels[-1], keep)
                continue
            levels.pop()
            if not levels:
                return level.kept
            current = _move(current, b"..")
            above = levels[-1]
            name = above.directories.pop()
            if level.kept or keep(level.path):
                above.kept = True
            else:
                os.rmdir(name, dir_fd=current)
    finally:
        os.close(current)


def _move(current: int, name: bytes) -> int:
    following = os.open(name, DIRECTORY, dir_fd=current)
    os.close(current)
    return following


def _remove_files(directory: int, level: _Level, keep: Callable[[bytes], bool]) -> None:
    """Remove what is not a directory, and note what is."""
    with os.scandir(directory) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if entry.is_dir(follow_symlinks=False):
                level.directories.append(name)
            elif keep(level.path + b"/" + name if level.path else name):
                level.kept = True
            else:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=directory)
