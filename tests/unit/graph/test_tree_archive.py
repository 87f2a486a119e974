"""Directories and files as archives for people: what a container's files are copied and exported as."""

from __future__ import annotations

import errno
import io
import os
import socket
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from testbed.trees import build, picture, trees
from transom.errors import Conflict
from transom.graph.extract import extract_below
from transom.graph.tree_archive import write_file, write_tree

SECOND = 1_000_000_000


def members(pieces: Iterable[bytes]) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces)), errors="surrogateescape") as archive:
        return archive.getmembers()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "b").mkdir(parents=True)
    (tree / "b" / "file").write_text("content")
    (tree / "b.txt").write_text("x")
    (tree / "a").symlink_to("b/file")
    return tree


@pytest.mark.parametrize(
    ("name", "names"),
    [
        (b"top", ["top", "top/a", "top/b", "top/b/file", "top/b.txt"]),
        (b".", [".", "./a", "./b", "./b/file", "./b.txt"]),
        (b"/", ["", "/a", "/b", "/b/file", "/b.txt"]),
    ],
)
def test_entries_begin_with_the_name_that_was_asked_for(tree: Path, name: bytes, names: list[str]) -> None:
    assert [member.name for member in members(write_tree(tree, name))] == names


def test_without_its_root_a_tree_is_at_the_top(tree: Path) -> None:
    assert [member.name for member in members(write_tree(tree, b"", with_root=False))] == ["a", "b", "b/file", "b.txt"]


def test_names_of_whiteouts_mean_themselves(tree: Path) -> None:
    (tree / ".wh.a").write_text("no whiteout")
    assert members(write_tree(tree, b"t"))[1].name == "t/.wh.a"


def test_sockets_are_left_out_and_times_are_whole_seconds(tree: Path) -> None:
    os.utime(tree / "b.txt", ns=(SECOND, 5 * SECOND + 999_999_999))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "b" / "socket"))
        found = {member.name: member for member in members(write_tree(tree, b"t"))}
    assert "t/b/socket" not in found
    assert found["t/b.txt"].mtime == 5
    assert not found["t/b.txt"].pax_headers


def test_a_file_that_shrinks_meanwhile_is_filled_up(tree: Path) -> None:
    (tree / "b.txt").write_bytes(b"x" * (3 << 20))
    pieces = iter(write_tree(tree, b"t"))
    read = []
    for piece in pieces:
        read.append(piece)
        if piece.startswith(b"xxx"):
            os.truncate(tree / "b.txt", 0)
    [file] = [member for member in members(read) if member.name == "t/b.txt"]
    assert file.size == 3 << 20


def test_what_goes_away_meanwhile_is_left_out(tree: Path) -> None:
    os.link(tree / "b.txt", tree / "c")
    pieces = write_tree(tree, b"t")
    read = [next(pieces), next(pieces)]
    (tree / "b" / "file").unlink()
    (tree / "b.txt").unlink()
    found = members([*read, *pieces])
    assert [member.name for member in found] == ["t", "t/a", "t/b", "t/c"]
    assert found[-1].isreg()


def _stale(*_arguments: object, **_options: object) -> None:
    """Answer as FUSE and NFS do for what was removed after it was looked up."""
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def test_what_goes_away_on_a_network_or_fuse_is_left_out(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "readlink", _stale)
    assert [member.name for member in members(write_tree(tree, b"", with_root=False))] == ["b", "b/file", "b.txt"]
    monkeypatch.setattr(os, "stat", _stale)
    above = os.open(tree, os.O_RDONLY)
    assert members(write_file(above, b"b.txt")) == []
    os.close(above)


def test_a_directory_that_goes_away_while_it_is_filled_is_a_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as writer:
        writer.addfile(tarfile.TarInfo("new/file"))
    root = os.open(tmp_path, os.O_RDONLY)
    monkeypatch.setattr(os, "fchmod", _stale)
    with pytest.raises(Conflict, match=r"^cannot unpack 'new/file': its directory, or itself, was removed meanwhile$"):
        extract_below(io.BytesIO(archive.getvalue()), root, b"/")
    os.close(root)


def test_one_file_keeps_its_bytes_whatever_its_name(tree: Path) -> None:
    name = b"\xff\n=name"
    (tree / os.fsdecode(name)).write_bytes(b"content")
    directory = os.open(tree, os.O_RDONLY)
    try:
        [member] = members(write_file(directory, name))
        assert members(write_file(directory, b"missing")) == []
    finally:
        os.close(directory)
    assert (os.fsencode(member.name), member.size) == (name, 7)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees.filter(lambda tree: tree[0] == "directory"))
def test_a_tree_that_is_copied_is_the_same(tmp_path_factory: pytest.TempPathFactory, node: object) -> None:
    directory = tmp_path_factory.mktemp("trees")
    source, root = directory / "source", directory / "root"
    build(source, node)
    (root / "below").mkdir(parents=True)
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        extract_below(io.BytesIO(b"".join(write_tree(source, b"copy"))), descriptor, b"/below")
    finally:
        os.close(descriptor)
    assert picture(root / "below" / "copy") == picture(source)
