"""Paths in containers: how they are read, what is at them, and that none leads out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from transom.containers.paths import locate, resolve, stat_path
from transom.errors import InvalidParameter


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """The root of a tree with files, links and links that would lead out of it."""
    tree = tmp_path / "root"
    (tree / "data" / "sub").mkdir(parents=True)
    (tree / "data" / "file").write_text("content")
    (tmp_path / "secret").write_text("outside")
    for name, target in {
        "to-directory": "data",
        "to-file": "/data/file",
        "nowhere": "/a/b",
        "out": "../../../../secret",
        "absolute": str(tmp_path / "secret"),
        "circle": "circle",
    }.items():
        (tree / name).symlink_to(target)
    descriptor = os.open(tree, os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("path", "located", "name"),
    [
        (b"/", b"/", b"/"),
        (b".", b"/.", b"."),
        (b"/.", b"/.", b"."),
        (b"data", b"/data", b"data"),
        (b"/data/", b"/data/", b"data"),
        (b"//data//.", b"/data/.", b"."),
        (b"/data/./", b"/data/.", b"."),
        (b"/data/../x", b"/x", b"x"),
        (b"../../x", b"/x", b"x"),
        (b"/data/..", b"/", b"/"),
    ],
)
def test_a_path_starts_at_the_root_and_keeps_its_ending(path: bytes, located: bytes, name: bytes) -> None:
    assert (locate(path).path, locate(path).name) == (located, name)


def test_a_link_is_itself_unless_a_slash_follows(root: int) -> None:
    link = stat_path(root, locate(b"/to-directory"))
    assert stat.S_ISLNK(link.mode)
    assert link.target == b"/data"
    for path in (b"/to-directory/", b"/to-directory/."):
        assert stat.S_ISDIR(stat_path(root, locate(path)).mode)


@pytest.mark.parametrize(
    ("path", "target"), [(b"/nowhere", b"/a/b"), (b"/out", b"/secret"), (b"/to-file", b"/data/file")]
)
def test_a_links_target_is_followed_inside_the_root(root: int, path: bytes, target: bytes) -> None:
    assert stat_path(root, locate(path)).target == target


def test_what_is_outside_is_not_found(root: int, tmp_path: Path) -> None:
    for path in (b"/out/", b"/absolute/", b"/../secret", os.fsencode(tmp_path / "secret")):
        with pytest.raises(FileNotFoundError):
            stat_path(root, locate(path))
    assert resolve(root, b"/absolute") == os.fsencode(tmp_path / "secret")


def test_a_file_is_no_directory(root: int) -> None:
    for path in (b"/data/file/", b"/data/file/below", b"/to-file/"):
        with pytest.raises(InvalidParameter, match="not a directory"):
            stat_path(root, locate(path))


def test_links_that_lead_in_a_circle_are_refused(root: int) -> None:
    with pytest.raises(InvalidParameter, match="too many levels of symbolic links"):
        resolve(root, b"/circle")


def test_links_on_the_way_are_resolved_and_missing_parts_kept(root: int) -> None:
    assert resolve(root, b"/to-directory/../to-directory/new/file") == b"/data/new/file"
