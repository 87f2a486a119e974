"""The rules of `cp`: what its arguments mean, where a copy goes, and what it is called there.

They are those of POSIX's `cp -R`, with Docker's own for trailing slashes and `/.` (docker container cp, "Extended
description"). All paths are text, with bytes that are no UTF-8 as surrogates.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from transom_cli.errors import CommandFailed

__all__ = [
    "End",
    "Plan",
    "absolute_path",
    "check_output",
    "follow_link",
    "link_target",
    "local_destination",
    "local_source",
    "plan_copy",
    "split_argument",
    "split_path",
]

_MAXIMUM_LINKS = 10


class End(NamedTuple):
    """One end of a copy. `rename` is what a source was called, where following a link has changed that."""

    path: str
    exists: bool = False
    is_directory: bool = False
    rename: str = ""


class Plan(NamedTuple):
    """The directory that an archive is unpacked in, and what the beginning of its names is replaced by, if it is."""

    directory: str
    old: str = ""
    new: str | None = None

    def name(self, name: str) -> str:
        """Return the name that an entry of the archive gets."""
        return name if self.new is None else name.replace(self.old, self.new, 1)


def split_argument(argument: str) -> tuple[str, str]:
    """Return the container and the path of `CONTAINER:PATH`; of a local path the container is empty.

    A local path with a colon begins with `/` or `.`, as for scp.
    """
    container, colon, path = argument.partition(":")
    if argument.startswith("/") or not colon or container.startswith("."):
        return "", argument
    return container, path


def absolute_path(path: str) -> str:
    """Return a local path as an absolute and clean one, but with the `/` or `/.` that it ends with."""
    clean = os.path.abspath(path)
    if _names_content(path):
        clean = clean.rstrip("/") + "/."
    return clean + "/" if path.endswith("/") and not clean.endswith("/") else clean


def split_path(path: str) -> tuple[str, str]:
    """Return the directory and the last part of a path, which is `.` where the path ends so, and `/` for the root."""
    clean = _clean(path)
    if _names_content(path):
        return clean, "."
    directory, _, name = clean.rpartition("/")
    if clean == "/":
        return "/", "/"
    return (directory or "/") if "/" in clean else ".", name


def follow_link(path: str, target: str) -> tuple[str, str]:
    """Return where a link leads with the ending of the path that named it, and the link's own name if that differs."""
    if _names_content(path) and not _names_content(target):
        target += "/."
    if path.endswith("/") and not target.endswith("/"):
        target += "/"
    name = _base(path)
    return target, name if name != _base(target) else ""


def link_target(path: str, target: str) -> str:
    """Return where a link at a path leads."""
    return target if target.startswith("/") else _clean(os.path.join(split_path(path)[0], target))


def local_source(path: str, follow: bool) -> End:
    """Return a local path that is copied from; links on the way to its last part are resolved, or all with `follow`.

    Raises `CommandFailed` if nothing is there.
    """
    try:
        if follow:
            resolved, rename = follow_link(path, _resolved(path))
        else:
            directory, slash, name = path.rpartition("/")
            resolved = _resolved(directory + slash) + "/" + name
            rename = _base(path) if path.endswith("/") and _base(path) != _base(resolved) else ""
        status = os.lstat(resolved)
    except OSError as error:
        raise _failed("lstat", error) from error
    return End(resolved, True, stat.S_ISDIR(status.st_mode), rename)


def _resolved(path: str) -> str:
    """Return a path without links. Raises `OSError`, and `CommandFailed` for a file where a directory must be."""
    try:
        resolved = os.path.realpath(path, strict=True)
    except NotADirectoryError as error:
        raise CommandFailed("not a directory") from error
    if path.endswith("/") and not os.path.isdir(resolved):
        raise CommandFailed("not a directory")
    return resolved


def local_destination(path: str) -> End:
    """Return a local path that is copied to, where links lead at last. Raises `CommandFailed` if it cannot be one."""
    original, links = path, 0
    while True:
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return End(_with_parent(path))
        except OSError as error:
            raise _failed("lstat", error) from error
        if not stat.S_ISLNK(status.st_mode):
            return End(path, True, stat.S_ISDIR(status.st_mode))
        links += 1
        if links > _MAXIMUM_LINKS:
            raise CommandFailed(f"too many symlinks in {original}")
        path = link_target(path, os.readlink(path))


def check_output(path: str) -> None:
    """Raise `CommandFailed` for a local path that cannot be written to: no directory for it, or a device."""
    directory = os.path.dirname(_clean(path))
    if directory and not os.path.exists(directory):
        raise CommandFailed(f'invalid output path: directory "{directory}" does not exist')
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _failed("stat", error) from error
    if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
        raise CommandFailed(f'invalid output path: "{path}" must be a directory or a regular file: got a device')


def plan_copy(source: End, destination: End) -> Plan:
    """Return where the archive of a source is unpacked, and how its names change. Raises `CommandFailed`."""
    directory, name = split_path(destination.path)
    old = source.rename or split_path(source.path)[1]
    if destination.exists and destination.is_directory:
        return Plan(destination.path)
    if destination.exists and source.is_directory:
        raise CommandFailed("cannot copy directory")
    asserts_directory = destination.path.endswith("/") or _names_content(destination.path)
    if asserts_directory and not (destination.exists or source.is_directory):
        raise CommandFailed("no such directory")
    return Plan(directory, "" if old == "/" else old, name)


def _with_parent(path: str) -> str:
    """Return a path at which nothing is, if it is in a directory."""
    parent = split_path(path)[0]
    try:
        if not stat.S_ISDIR(os.stat(parent).st_mode):
            raise CommandFailed("not a directory")
    except OSError as error:
        raise _failed("stat", error) from error
    return path


def _clean(path: str) -> str:
    clean = os.path.normpath(path)
    return clean[1:] if clean.startswith("//") else clean


def _base(path: str) -> str:
    """Return the last part of a path, whatever slashes follow it."""
    return path.rstrip("/").rpartition("/")[2] or ("/" if path else ".")


def _names_content(path: str) -> bool:
    """Return whether a path means what is in a directory, and not the directory itself."""
    return _base(path) == "."


def _failed(call: str, error: OSError) -> CommandFailed:
    return CommandFailed(f"{call} {error.filename}: {(error.strerror or '').lower()}")
