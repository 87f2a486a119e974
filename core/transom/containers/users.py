"""Who a container's process is: users and groups by name or number, from the image's own files.

OCI image specification, config.md: "User" is one of user, uid, user:group, uid:gid, uid:group, user:gid.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transom.errors import InvalidParameter
from transom.runtime.syscalls.files import openat2

__all__ = ["User", "find_user"]

#: How much of an image's passwd or group file is read, in bytes.
_LIMIT = 8 << 20
_HIGHEST_ID = 2**31 - 1
#: Digits of a number that are looked at; more of them are out of range anyway.
_LONGEST_NUMBER = 20


@dataclass(frozen=True)
class User:
    """A process's identity: numbers, and the home directory that passwd names (`/` where it names none)."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


def find_user(root: Path, wanted: str, additional_groups: tuple[str, ...] = ()) -> User:
    """Return who `wanted` (a `--user` value; empty is root) is in the file system below `root`.

    Raises `InvalidParameter` for a name that is not there and a number that is out of range.
    """
    name, _, group = wanted.partition(":")
    name = name or "0"
    number = _number(name, "uid")
    entry = next(
        (fields for fields in _entries(root, "etc/passwd", 7) if name == fields[0] or number == _decimal(fields[2])),
        None,
    )
    if entry is None and number is None:
        raise InvalidParameter(f"unable to find user {name}: no matching entries in passwd file")
    uid = number if number is not None else _number(entry[2], "uid") if entry else 0
    gid = (_number(entry[3], "gid") if entry else 0) or 0
    login = entry[0] if entry else ""
    members: list[int] = []
    groups = list(_entries(root, "etc/group", 4))
    if group:
        gid = _group(groups, group)
    elif login:
        members = [
            identity
            for fields in groups
            if login in fields[3].split(",") and (identity := _decimal(fields[2])) is not None and identity != gid
        ]
    members += [_group(groups, item) for item in additional_groups]
    return User(uid or 0, gid, tuple(dict.fromkeys((gid, *members))), (entry[5] if entry else "") or "/")


def _group(groups: list[list[str]], wanted: str) -> int:
    for fields in groups:
        if fields[0] == wanted and (identity := _decimal(fields[2])) is not None:
            return identity
    number = _number(wanted, "gid")
    if number is None:
        raise InvalidParameter(f"unable to find group {wanted}: no matching entries in group file")
    return number


def _number(text: str, kind: str) -> int | None:
    """Return a numeric ID, or None for a name. Raises `InvalidParameter` for a number that is out of range."""
    value = _decimal(text)
    if value is not None and value > _HIGHEST_ID:
        raise InvalidParameter(f"{kind} {text} is out of range: {kind}s must be in the range 0-{_HIGHEST_ID}")
    return value


def _decimal(text: str) -> int | None:
    return int(text[:_LONGEST_NUMBER]) if text.isascii() and text.isdigit() else None


def _entries(root: Path, path: str, least: int) -> Iterator[list[str]]:
    """Yield the fields of each line of one of the image's files, which may be missing or nonsense."""
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # O_NONBLOCK: an image may have put a FIFO there.
        descriptor = openat2(directory, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return
    finally:
        os.close(directory)
    with open(descriptor, "rb") as file:
        try:
            content = file.read(_LIMIT)
        except OSError:
            return
    for line in (content or b"").decode(errors="surrogateescape").splitlines():
        fields = line.split(":")
        if len(fields) >= least and not line.startswith("#"):
            yield fields
