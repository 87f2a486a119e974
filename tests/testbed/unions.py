"""Layers for unions, and what a union shows."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from transom.testing.trees import Description, content_digest
from transom_fuse.union import Directory, Union

__all__ = ["Tree", "describe_union", "make_tree", "opaque_name", "walk"]

#: Names and what they are: a file's content, a directory, None for a whiteout; a name "!" marks an opaque directory.
Tree = dict[str, "bytes | Tree | None"]


def opaque_name() -> str:
    """Return the attribute that marks an opaque directory for who runs the tests."""
    return "trusted.overlay.opaque" if os.geteuid() == 0 else "user.overlay.opaque"


def make_tree(root: Path, tree: Tree) -> Path:
    """Make a layer."""
    root.mkdir(exist_ok=True)
    for name, item in tree.items():
        if name == "!":
            os.setxattr(root, opaque_name(), b"y")
        elif item is None:
            os.mknod(root / name, stat.S_IFCHR, 0)
        elif isinstance(item, bytes):
            (root / name).write_bytes(item)
        else:
            make_tree(root / name, item)
    return root


def walk(union: Union, path: bytes) -> tuple[Directory, bytes]:
    """Return the directory that a path's last part is in, and that part."""
    *above, name = path.split(b"/")
    directory = union.root
    for part in above:
        node = union.lookup(directory, part)
        if not isinstance(node, Directory):
            raise NotADirectoryError(20, os.strerror(20))
        directory = node
    return directory, name


def describe_union(union: Union, long_ago: int = 1 << 62) -> dict[bytes, Description]:
    """Return what is in a union, as `transom.testing.trees.describe` does for what is mounted.

    Times after `long_ago`, in nanoseconds, are left out.
    """
    found = {b"": union.root}
    waiting: list[tuple[bytes, Directory]] = [(b"", union.root)]
    for path, directory in waiting:
        listed = union.entries(directory)
        assert len({name for name, _, _ in listed}) == len(listed)
        for name, kind, ino in listed:
            node = union.lookup(directory, name)
            assert (node.kind, node.ino) == (kind, ino)
            below = path + b"/" + name if path else name
            found[below] = node
            if isinstance(node, Directory):
                waiting.append((below, node))
    links: dict[int, list[bytes]] = {}
    for path in sorted(found):
        node = found[path]
        if not isinstance(node, Directory) and union.link_count(node, union.status(node)) > 1:
            links.setdefault(node.ino, []).append(path)
    return {path: _describe(union, path, links, long_ago, found) for path in sorted(found)}


def _describe(
    union: Union, path: bytes, links: dict[int, list[bytes]], long_ago: int, found: dict[bytes, object]
) -> Description:
    node = found[path]
    status = union.status(node)
    if node.kind == stat.S_IFREG:
        handle = union.open(node, os.O_RDONLY)
        content = content_digest(handle.read(1 << 20, 0))
        union.close_handle(handle)
    elif node.kind == stat.S_IFLNK:
        content = union.read_link(node)
    else:
        content = b"%d" % status.st_rdev
    return Description(
        stat.filemode(status.st_mode)[0],
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns if path and status.st_mtime_ns <= long_ago else 0,
        content,
        tuple((os.fsdecode(name), union.attribute(node, name)) for name in sorted(union.attributes(node))),
        tuple(links.get(node.ino, ())) if not isinstance(node, Directory) else (),
    )
