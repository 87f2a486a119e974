"""What programs do to files, and the files that it is done to: the cases of `transom.testing.graph_files`.

Each case has a directory of its own, with what it needs in the layer itself and in two layers below it.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from transom.runtime.syscalls.files import RENAME_EXCHANGE, RENAME_NOREPLACE
from transom.testing.archives import MTIME, Member, device, directory, fifo, file, opaque, symlink, whiteout

__all__ = ["ACTS", "CASES", "RENAMES", "change_layer", "lowest_layer", "middle_layer"]

Act = Callable[[bytes], object]


def _open(path: bytes, flags: int, content: bytes = b"") -> bytes:
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o640)
    try:
        if content:
            os.write(descriptor, content)
        return os.read(descriptor, 100) if flags & os.O_ACCMODE == os.O_RDONLY else b""
    finally:
        os.close(descriptor)


def _rename_within(path: bytes) -> None:
    os.rename(path, path + b"-new")  # noqa: PTH104 names of any bytes


def _rename_away(path: bytes) -> None:
    os.rename(path, path.rpartition(b"/case/")[0] + b"/case/ud/new")  # noqa: PTH104


def _remove_all(path: bytes) -> None:
    # What is no directory is opened by rmtree, and a pipe would wait.
    os.listdir(path)  # noqa: PTH208
    shutil.rmtree(path)
    os.mkdir(path)  # noqa: PTH102


#: What is done to one path.
ACTS: dict[str, Act] = {
    "read": lambda path: _open(path, os.O_RDONLY),
    "overwrite": lambda path: _open(path, os.O_WRONLY, b"new"),
    "append": lambda path: _open(path, os.O_WRONLY | os.O_APPEND, b"more"),
    "open to truncate": lambda path: _open(path, os.O_WRONLY | os.O_TRUNC, b"x"),
    "create": lambda path: _open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, b"created"),
    "truncate": lambda path: os.truncate(path, 3),
    "extend": lambda path: os.truncate(path, 10_000),
    "unlink": os.unlink,
    "rmdir": os.rmdir,
    "mkdir": lambda path: os.mkdir(path, 0o751),  # noqa: PTH102
    "symlink": lambda path: os.symlink(b"target", path),  # noqa: PTH211
    "mknod": lambda path: os.mknod(path, stat.S_IFIFO | 0o620),
    "link": lambda path: os.link(path, path + b"-link", follow_symlinks=False),
    "chmod": lambda path: os.chmod(path, 0o711),  # noqa: PTH101
    "chown": lambda path: os.chown(path, 7, 8, follow_symlinks=False),
    "utime": lambda path: os.utime(path, ns=(MTIME + 5, MTIME + 7), follow_symlinks=False),
    "set attribute": lambda path: os.setxattr(path, b"user.new", b"value"),
    "remove attribute": lambda path: os.removexattr(path, b"user.text"),
    "list": lambda path: sorted(os.listdir(path)),  # noqa: PTH208
    "rename": _rename_within,
    "rename to another directory": _rename_away,
    "remove all": _remove_all,
}

#: What there is, by where it is. `-low` is in the lowest layer, `-mid` in the middle one, `-up` in the layer itself.
_TARGETS = (
    "f-low",
    "f-mid",
    "f-up",
    "f-changed",
    "f-gone-mid",
    "f-gone-up",
    "d-low",
    "d-merged",
    "d-opaque",
    "d-up",
    "d-empty",
    "d-gone",
    "d-merged/low",
    "d-merged/up",
    "d-opaque/hidden",
    "link",
    "fifo",
    "null",
)

_SOURCES = ("f-low", "f-up", "d-low", "d-merged", "d-up", "d-opaque", "link")
_DESTINATIONS = ("f-mid", "f-up", "f-gone-up", "f-gone-mid", "d-low", "d-empty", "d-emptied", "d-gone", "d-up/inside")

CASES = [(act, target) for act in ACTS for target in _TARGETS]
RENAMES = [(source, destination, 0) for source in _SOURCES for destination in _DESTINATIONS] + [
    (source, destination, flags)
    for source in ("f-low", "d-up", "d-merged")
    for destination in ("f-mid", "d-low", "f-gone-up", "d-emptied")
    for flags in (RENAME_NOREPLACE, RENAME_EXCHANGE)
]


def _lowest(case: str) -> list[Member]:
    return [
        directory(case),
        file(f"{case}/f-low", b"of the lowest layer", mode=0o4755, uid=1, gid=2, xattrs={"user.text": b"value"}),
        file(f"{case}/f-mid", b"hidden"),
        file(f"{case}/f-changed", b"lower"),
        file(f"{case}/f-gone-mid"),
        file(f"{case}/f-gone-up"),
        directory(f"{case}/d-low", mode=0o1777),
        file(f"{case}/d-low/a", b"a"),
        directory(f"{case}/d-low/sub"),
        symlink(f"{case}/d-low/sub/l", "nowhere"),
        directory(f"{case}/d-merged", xattrs={"user.text": b"value"}),
        file(f"{case}/d-merged/low", b"low"),
        directory(f"{case}/d-opaque"),
        file(f"{case}/d-opaque/hidden"),
        directory(f"{case}/d-empty"),
        directory(f"{case}/d-emptied"),
        file(f"{case}/d-emptied/gone"),
        directory(f"{case}/d-gone"),
        file(f"{case}/d-gone/gone"),
        symlink(f"{case}/link", "f-low", uid=3, gid=4),
        fifo(f"{case}/fifo", mode=0o620),
        device(f"{case}/null", 1, 3),
    ]


def _middle(case: str) -> list[Member]:
    return [
        directory(case),
        file(f"{case}/f-mid", b"of the middle layer"),
        whiteout(f"{case}/f-gone-mid"),
        directory(f"{case}/d-merged", mode=0o700),
        file(f"{case}/d-merged/mid", b"mid"),
        directory(f"{case}/d-opaque"),
        opaque(f"{case}/d-opaque"),
        file(f"{case}/d-opaque/shown", b"shown"),
    ]


def _change(case: Path, needed: frozenset[str]) -> None:
    """Make what is in the layer itself, of what a case needs."""
    if "f-up" in needed:
        (case / "f-up").write_bytes(b"of the layer")
    if "f-changed" in needed:
        (case / "f-changed").write_bytes(b"changed")
    if "f-gone-up" in needed:
        (case / "f-gone-up").unlink()
    if "d-merged" in needed:
        (case / "d-merged" / "up").write_bytes(b"up")
    if "d-emptied" in needed:
        (case / "d-emptied" / "gone").unlink()
    if "d-gone" in needed:
        (case / "d-gone" / "gone").unlink()
        (case / "d-gone").rmdir()
    (case / "d-up").mkdir()
    (case / "d-up" / "inside").write_bytes(b"inside")


def lowest_layer() -> list[Member]:
    """Return what the lowest layer has for all cases, each in the directory of its number."""
    return _members(_lowest)


def middle_layer() -> list[Member]:
    """Return what the layer on top of the lowest one has."""
    return _members(_middle)


def change_layer(tree: Path) -> None:
    """Make what is in the layer itself, where it is mounted."""
    for case, needed in enumerate(_needs()):
        _change(tree / str(case) / "case", needed)


def _needs() -> list[frozenset[str]]:
    """Return what each case needs: what its paths begin with, and what a link leads to."""
    cases: list[tuple[str, ...]] = [(target,) for _, target in CASES]
    cases += [(source, target) for source, target, _ in RENAMES]
    names = [frozenset(path.partition("/")[0] for path in paths) for paths in cases]
    return [needed | {"f-low"} if "link" in needed else needed for needed in names]


def _members(make: Callable[[str], list[Member]]) -> list[Member]:
    """Return what a layer has, of what the cases need."""
    members = []
    for case, needed in enumerate(_needs()):
        found = [directory(f"{case}"), *make(f"{case}/case")]
        members += [member for member in found if _part(member) in needed or _part(member) == ""]
    return members


def _part(member: Member) -> str:
    """Return what of a case a member belongs to: its name in the case's directory, for a whiteout what it hides."""
    parts = os.fsdecode(member.name).split("/")
    return parts[2].removeprefix(".wh.") if len(parts) > 2 else ""
