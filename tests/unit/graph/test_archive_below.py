"""Unpacking any archive into a directory of a container: inside its root, and by the rules that `cp` has."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from transom.errors import Cancelled, CorruptContent, InvalidParameter
from transom.graph.archive import Entry, Kind
from transom.graph.archive_writer import END, encode_entry, padding
from transom.graph.extract import extract_below

UID, GID = os.geteuid(), os.getegid()


def file(name: bytes, content: bytes = b"", **fields: Any) -> bytes:
    entry = Entry(name, Kind.FILE, 0o644, UID, GID, len(content), **fields)
    return encode_entry(entry) + content + padding(len(content))


def directory(name: bytes, mode: int = 0o755) -> bytes:
    return encode_entry(Entry(name, Kind.DIRECTORY, mode, UID, GID))


def link(name: bytes, target: bytes, kind: Kind = Kind.SYMLINK) -> bytes:
    return encode_entry(Entry(name, kind, 0o777, UID, GID, link=target))


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """The root of a container with a directory `/in/to`; nothing beside it may change."""
    (tmp_path / "sentinel").write_text("untouched")
    root = tmp_path / "root"
    (root / "in" / "to").mkdir(parents=True)
    yield root
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root", "sentinel"]
    assert (tmp_path / "sentinel").read_text() == "untouched"


def unpack(root: Path, *entries: bytes, **options: Any) -> None:
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        extract_below(io.BytesIO(b"".join(entries) + END), descriptor, b"/in/to", **options)
    finally:
        os.close(descriptor)


def test_names_are_relative_to_the_directory(root: Path) -> None:
    unpack(root, directory(b"./"), file(b"one", b"1"), file(b"/two", b"2"), file(b"./deep/er/three"))
    assert (root / "in/to/one").read_text() == "1"
    assert (root / "in/to/two").read_text() == "2"
    assert (root / "in/to/deep/er/three").exists()


def test_the_directory_itself_stays_as_it_is(root: Path) -> None:
    (root / "in/to").chmod(0o700)
    unpack(root, directory(b"./", 0o777))
    assert stat.S_IMODE((root / "in/to").stat().st_mode) == 0o700


def test_names_of_whiteouts_mean_themselves(root: Path) -> None:
    (root / "in/to/kept").write_text("kept")
    unpack(root, file(b".wh.kept"), file(b".wh..wh..opq"), file(b".wh..wh.plnk"))
    assert {path.name for path in (root / "in/to").iterdir()} == {"kept", ".wh.kept", ".wh..wh..opq", ".wh..wh.plnk"}


@pytest.mark.parametrize("name", [b"../escaped", b"a/../../../escaped", b"/../escaped"])
def test_a_name_that_leads_out_of_the_directory_is_refused(root: Path, name: bytes) -> None:
    with pytest.raises(CorruptContent, match="leads out"):
        unpack(root, file(name))
    assert list((root / "in").iterdir()) == [root / "in/to"]


def test_a_hard_link_leads_to_a_file_in_the_directory(root: Path) -> None:
    (root / "secret").write_text("not linked")
    unpack(root, file(b"one", b"1"), link(b"two", b"/one", Kind.HARD_LINK))
    assert (root / "in/to/two").samefile(root / "in/to/one")
    with pytest.raises(CorruptContent):
        unpack(root, link(b"three", b"../../secret", Kind.HARD_LINK))


def test_links_lead_to_where_they_would_in_the_container(root: Path, tmp_path: Path) -> None:
    (root / "etc").mkdir()
    unpack(
        root,
        link(b"absolute", b"/etc"),
        file(b"absolute/one"),
        link(b"up", b"../../../../../../etc"),
        file(b"up/two"),
        link(b"outside", os.fsencode(tmp_path)),
        file(b"outside/sentinel"),
    )
    assert {path.name for path in (root / "etc").iterdir()} == {"one", "two"}
    assert (root / str(tmp_path).lstrip("/") / "sentinel").exists()


def test_a_file_replaces_a_link_and_not_what_it_leads_to(root: Path) -> None:
    (root / "target").write_text("kept")
    (root / "in/to/link").symlink_to("/target")
    unpack(root, file(b"link", b"new"))
    assert (root / "target").read_text() == "kept"
    assert not (root / "in/to/link").is_symlink()


def test_kinds_are_kept_where_that_was_asked_for(root: Path) -> None:
    (root / "in/to/directory").mkdir()
    (root / "in/to/file").write_text("kept")
    with pytest.raises(InvalidParameter) as refused:
        unpack(root, file(b"directory"), keep_kinds=True)
    assert str(refused.value) == 'cannot overwrite directory "/in/to/directory" with non-directory "/in/to"'
    with pytest.raises(InvalidParameter) as refused:
        unpack(root, directory(b"file"), keep_kinds=True)
    assert str(refused.value) == 'cannot overwrite non-directory "/in/to/file" with directory "/in/to"'
    unpack(root, file(b"file", b"new"), directory(b"directory"), keep_kinds=True)
    assert (root / "in/to/file").read_text() == "new"


def test_without_that_kinds_change(root: Path) -> None:
    (root / "in/to/directory/deep").mkdir(parents=True)
    (root / "in/to/file").write_text("gone")
    unpack(root, file(b"directory", b"a file now"), directory(b"file"), file(b"file/inside"))
    assert (root / "in/to/directory").read_text() == "a file now"


def test_attributes_of_directories_that_are_there_stay(root: Path) -> None:
    (root / "in/to/directory").mkdir()
    os.setxattr(root / "in/to/directory", "user.kept", b"value")
    unpack(root, directory(b"directory", 0o700))
    assert os.getxattr(root / "in/to/directory", "user.kept") == b"value"
    assert stat.S_IMODE((root / "in/to/directory").stat().st_mode) == 0o700


def test_a_check_ends_the_unpacking(root: Path) -> None:
    def check() -> None:
        if (root / "in/to/one").exists():
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        unpack(root, file(b"one"), file(b"two"), check=check)
    assert not (root / "in/to/two").exists()


def test_what_is_no_archive_changes_nothing(root: Path) -> None:
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        with pytest.raises(CorruptContent):
            extract_below(io.BytesIO(b"no archive" * 100), descriptor, b"/in/to")
    finally:
        os.close(descriptor)
    assert list((root / "in/to").iterdir()) == []
