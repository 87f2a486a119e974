"""Local files as archives, and archives as local files."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from testbed.trees import build, picture, trees
from transom_cli.errors import CommandFailed
from transom_cli.local_archive import Chunks, pack, unpack

Members = list[tuple[tarfile.TarInfo, bytes]]


def same(name: str) -> str:
    return name


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> Chunks:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", errors="surrogateescape") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return Chunks([content.getvalue()])


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **fields: object
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


@pytest.fixture
def into(tmp_path: Path) -> Path:
    directory = tmp_path / "into"
    directory.mkdir()
    return directory


def plain(node: Any) -> Any:
    """Return a generated tree without extended attributes, which few of an archive's readers know."""
    kind, mode, time, _, what = node
    return kind, mode, time, {}, {name: plain(child) for name, child in what.items()} if kind == "directory" else what


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees.filter(lambda tree: tree[0] == "directory").map(plain))
def test_files_that_are_packed_and_unpacked_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, node: object
) -> None:
    directory = tmp_path_factory.mktemp("trees")
    build(directory / "source", node)
    (directory / "to").mkdir()
    unpack(Chunks(pack(str(directory), "source", same)), str(directory / "to"), same)
    assert picture(directory / "to" / "source") == picture(directory / "source")


@pytest.mark.parametrize(
    ("name", "names"), [("d", ["d", "d/a", "d/b"]), (".", [".", "./d", "./d/a", "./d/b"]), ("d/a", ["d/a"])]
)
def test_entries_are_called_as_the_path_that_was_packed(tmp_path: Path, name: str, names: list[str]) -> None:
    (tmp_path / "d").mkdir()
    for below in "ab":
        (tmp_path / "d" / below).touch()
    content = io.BytesIO(b"".join(pack(str(tmp_path), name, same)))
    with tarfile.open(fileobj=content) as archived:
        assert archived.getnames() == names


def test_hard_links_stay_links(tmp_path: Path, into: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_text("once")
    os.link(tmp_path / "d" / "a", tmp_path / "d" / "b")
    unpack(Chunks(pack(str(tmp_path), "d", same)), str(into), lambda name: name.replace("d", "new", 1))
    assert (into / "new" / "a").samefile(into / "new" / "b")


def test_capabilities_are_packed(tmp_path: Path) -> None:
    value = bytes.fromhex("0100000200040000000000000000000000000000")
    (tmp_path / "program").touch()
    try:
        os.setxattr(tmp_path / "program", "security.capability", value)
    except PermissionError:
        pytest.skip("needs root")
    content = io.BytesIO(b"".join(pack(str(tmp_path), "program", same)))
    with tarfile.open(fileobj=content) as archived:
        headers = archived.getmembers()[0].pax_headers
    assert headers["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape") == value


def test_a_source_that_cannot_be_read_fails(tmp_path: Path) -> None:
    assert list(pack(str(tmp_path), "nope", same)) == [bytes(1024)]
    (tmp_path / "file").touch()
    with pytest.raises(CommandFailed, match="not a directory"):
        list(pack(str(tmp_path / "file"), "below", same))


@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", "/../escaped"])
def test_what_leads_out_of_the_directory_is_refused(into: Path, name: str) -> None:
    with pytest.raises(CommandFailed, match="is outside of"):
        unpack(archive(entry(name)), str(into), same)
    assert list(into.parent.iterdir()) == [into]


def test_nothing_is_unpacked_through_a_link_of_the_archive(into: Path) -> None:
    outside = into.parent / "outside"
    outside.mkdir()
    for kind, name in ((tarfile.REGTYPE, "link/file"), (tarfile.DIRTYPE, "link/deep/er")):
        with pytest.raises(CommandFailed):
            unpack(archive(entry("link", tarfile.SYMTYPE, linkname=str(outside)), entry(name, kind)), str(into), same)
    with pytest.raises(CommandFailed):
        unpack(archive(entry("hard", tarfile.LNKTYPE, linkname="link/x")), str(into), same)
    assert list(outside.iterdir()) == []


def test_a_file_replaces_a_link_and_not_what_it_leads_to(into: Path) -> None:
    (into / "target").write_text("kept")
    (into / "link").symlink_to("target")
    unpack(archive(entry("link", data=b"new")), str(into), same)
    assert (into / "target").read_text() == "kept"
    assert (into / "link").read_text() == "new"


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (Path.mkdir, tarfile.REGTYPE, 'cannot overwrite directory "{0}/there" with non-directory "{0}"'),
        (Path.touch, tarfile.DIRTYPE, 'cannot overwrite non-directory "{0}/there" with directory "{0}"'),
    ],
)
def test_directories_and_others_do_not_replace_each_other(
    into: Path, make: Callable[[Path], None], kind: bytes, says: str
) -> None:
    make(into / "there")
    with pytest.raises(CommandFailed) as refused:
        unpack(archive(entry("there", kind)), str(into), same)
    assert refused.value.message == says.format(into)


def test_a_damaged_archive_fails(into: Path) -> None:
    for content in (b"no archive" * 1000, b"x"):
        with pytest.raises(CommandFailed, match="damaged"):
            unpack(Chunks([content]), str(into), same)


def test_times_of_directories_are_not_changed_by_what_is_put_in_them(into: Path) -> None:
    unpack(archive(entry("d", tarfile.DIRTYPE, mtime=1000), entry("d/file", mtime=2000.5)), str(into), same)
    assert ((into / "d").stat().st_mtime, (into / "d/file").stat().st_mtime) == (1000, 2000.5)
