"""What a layer changes: as an archive that makes one tree into the other, as a list, as a size."""

import io
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings

from testbed.trees import build, picture, trees
from transom.drivers.graph import Change, ChangeKind
from transom.errors import Conflict, Unsupported
from transom.graph.difference import find_changes, measure_difference, write_difference
from transom.graph.extract import extract


@contextmanager
def three_directories() -> Iterator[tuple[Path, Path, Path]]:
    with TemporaryDirectory() as name:
        paths = [Path(name) / part for part in ("lower", "upper", "copy")]
        for path in paths:
            path.mkdir()
        yield paths[0], paths[1], paths[2]


def apply(archive: Iterator[bytes], tree: Path) -> None:
    extract(io.BytesIO(b"".join(archive)), tree)


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    (tmp_path / "lower").mkdir()
    return tmp_path / "lower"


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    return tmp_path / "upper"


def copied(lower: Path, upper: Path) -> None:
    shutil.copytree(lower, upper, symlinks=True)


@settings(max_examples=60)
@given(trees)
def test_a_tree_that_is_archived_and_unpacked_is_the_same_tree(node: Any) -> None:
    with three_directories() as (_, upper, copy):
        build(upper, node)
        apply(write_difference(None, upper), copy)
        assert picture(copy) == picture(upper)
        assert list(find_changes(upper, copy)) == []


@settings(max_examples=100)
@given(trees, trees)
def test_the_difference_of_two_trees_makes_one_into_the_other(before: Any, after: Any) -> None:
    with three_directories() as (lower, upper, copy):
        build(lower, before)
        build(upper, after)
        apply(write_difference(None, lower), copy)
        apply(write_difference(lower, upper), copy)
        assert picture(copy) == picture(upper)


@settings(max_examples=30)
@given(trees)
def test_the_same_tree_gives_the_same_bytes_wherever_it_is(node: Any) -> None:
    with three_directories() as (lower, upper, _):
        build(lower, node)
        build(upper, node)
        archive = b"".join(write_difference(None, upper))
        assert archive == b"".join(write_difference(None, lower))


def test_nothing_differs_between_a_tree_and_itself(lower: Path) -> None:
    (lower / "d").mkdir()
    (lower / "d/f").write_text("x")
    assert list(find_changes(lower, lower)) == []
    assert b"".join(write_difference(lower, lower)) == bytes(1024)


def test_hard_links_within_a_layer_stay_hard_links(lower: Path, upper: Path) -> None:
    upper.mkdir()
    (upper / "b").write_text("shared")
    (upper / "a").hardlink_to(upper / "b")
    (upper / "z").symlink_to("b")
    os.link(upper / "z", upper / "y", follow_symlinks=False)
    apply(write_difference(lower, upper), lower)
    assert (lower / "a").samefile(lower / "b")
    assert (lower / "z").lstat().st_ino == (lower / "y").lstat().st_ino


def test_holes_are_neither_stored_nor_lost(lower: Path, upper: Path) -> None:
    upper.mkdir()
    with (upper / "sparse").open("wb") as file:
        file.seek(10 << 20)
        file.write(b"end")
        file.truncate(20 << 20)
    archive = b"".join(write_difference(lower, upper))
    assert len(archive) < 1 << 20
    extract(io.BytesIO(archive), lower)
    assert (lower / "sparse").stat().st_blocks * 512 < 1 << 20
    assert (lower / "sparse").read_bytes() == (upper / "sparse").read_bytes()


def test_changes_are_listed_as_docker_diff_lists_them(lower: Path, upper: Path) -> None:
    for name in ("changed/deep/f", "deleted/f", "kept/f", "mode/f", "replaced/f", "touched/f"):
        (lower / name).parent.mkdir(parents=True)
        (lower / name).write_text("x")
    (lower / "file").write_text("x")
    copied(lower, upper)
    (upper / "added").mkdir()
    (upper / "added/f").write_text("x")
    (upper / "changed/deep/f").write_text("other")
    shutil.rmtree(upper / "deleted")
    (upper / "mode").chmod(0o700)
    shutil.rmtree(upper / "replaced")
    (upper / "replaced").symlink_to("kept")
    (upper / "file").unlink()
    (upper / "file").mkdir()
    (upper / "file/f").write_text("x")
    os.utime(upper / "touched", (1, 1))
    assert list(find_changes(lower, upper)) == [
        Change(b"/added", ChangeKind.ADDED),
        Change(b"/added/f", ChangeKind.ADDED),
        Change(b"/changed", ChangeKind.MODIFIED),
        Change(b"/changed/deep", ChangeKind.MODIFIED),
        Change(b"/changed/deep/f", ChangeKind.MODIFIED),
        Change(b"/deleted", ChangeKind.DELETED),
        Change(b"/file", ChangeKind.MODIFIED),
        Change(b"/file/f", ChangeKind.ADDED),
        Change(b"/mode", ChangeKind.MODIFIED),
        Change(b"/replaced", ChangeKind.MODIFIED),
    ]


def test_everything_is_added_where_there_is_no_parent(upper: Path) -> None:
    (upper / "d").mkdir(parents=True)
    (upper / "d/f").write_text("x")
    assert list(find_changes(None, upper)) == [
        Change(b"/d", ChangeKind.ADDED),
        Change(b"/d/f", ChangeKind.ADDED),
    ]


def test_content_is_compared_where_times_are_not_exact(lower: Path, upper: Path) -> None:
    (lower / "f").write_text("one")
    (lower / "same").write_text("one")
    copied(lower, upper)
    (upper / "f").write_text("two")
    for tree in (lower, upper):
        os.utime(tree / "f", (5, 5))
        os.utime(tree / "same", (5, 5))
    assert list(find_changes(lower, upper)) == [Change(b"/f", ChangeKind.MODIFIED)]


def test_a_change_of_an_extended_attribute_is_a_change(lower: Path, upper: Path) -> None:
    (lower / "f").write_text("x")
    copied(lower, upper)
    os.setxattr(upper / "f", "user.note", b"1")
    assert list(find_changes(lower, upper)) == [Change(b"/f", ChangeKind.MODIFIED)]


def test_a_layer_is_measured_by_its_inodes_and_what_they_occupy(lower: Path, upper: Path) -> None:
    (lower / "kept").write_bytes(b"x" * 100_000)
    copied(lower, upper)
    (upper / "f").write_bytes(b"x" * 10_000)
    (upper / "g").hardlink_to(upper / "f")
    usage = measure_difference(lower, upper)
    assert (usage.inodes, usage.size) == (1, (upper / "f").stat().st_blocks * 512)


def test_a_socket_is_left_out_and_what_it_replaced_is_gone(lower: Path, upper: Path) -> None:
    (lower / "run").write_text("x")
    upper.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(upper / "run"))
    apply(write_difference(lower, upper), lower)
    assert list(lower.iterdir()) == []


def test_a_name_that_would_be_read_as_a_whiteout_is_refused(lower: Path, upper: Path) -> None:
    upper.mkdir()
    (upper / ".wh.f").write_text("x")
    with pytest.raises(Unsupported, match=r"\.wh\.f"):
        list(write_difference(lower, upper))


def test_a_file_that_shrinks_while_it_is_read_is_a_conflict(
    lower: Path, upper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upper.mkdir()
    (upper / "f").write_bytes(b"x" * 10_000)

    def shrunk(*_: object) -> bytes:
        return b""

    monkeypatch.setattr(os, "pread", shrunk)
    with pytest.raises(Conflict, match="pause the container"):
        list(write_difference(lower, upper))


def test_links_are_not_followed(lower: Path, upper: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    upper.mkdir()
    (upper / "way").symlink_to(tmp_path / "outside")
    assert b"secret" not in b"".join(write_difference(lower, upper))
    (lower / "way").mkdir()
    (lower / "way/secret").write_text("x")
    assert list(find_changes(lower, upper)) == [Change(b"/way", ChangeKind.MODIFIED)]


def test_a_tree_deeper_than_the_descriptors_allow_is_archived(lower: Path, upper: Path) -> None:
    for depth in range(601):
        (upper / "/".join(["d"] * depth)).mkdir()
    apply(write_difference(lower, upper), lower)
    assert list(find_changes(lower, upper)) == []
    assert (lower / "/".join(["d"] * 600)).is_dir()
