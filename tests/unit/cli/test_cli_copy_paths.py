"""What the arguments of `cp` mean."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from transom_cli.copy_paths import (
    End,
    absolute_path,
    check_output,
    follow_link,
    local_destination,
    local_source,
    plan_copy,
    split_argument,
    split_path,
)
from transom_cli.errors import CommandFailed

FILE, DIRECTORY, MISSING = End("/d/there", True), End("/d/there", True, True), End("/d/new")


@pytest.mark.parametrize(
    ("argument", "container", "path"),
    [
        ("c:/etc", "c", "/etc"),
        ("c:etc:x", "c", "etc:x"),
        ("c:", "c", ""),
        ("file", "", "file"),
        ("/a:b", "", "/a:b"),
        ("./a:b", "", "./a:b"),
        ("../a:b", "", "../a:b"),
        ("-", "", "-"),
        (":/x", "", "/x"),
    ],
)
def test_a_colon_makes_a_container_unless_the_path_is_explicit(argument: str, container: str, path: str) -> None:
    assert split_argument(argument) == (container, path)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/a/b", ("/a", "b")),
        ("/a/b/", ("/a", "b")),
        ("/a/b/.", ("/a/b", ".")),
        ("/a", ("/", "a")),
        ("/", ("/", "/")),
        ("/.", ("/", ".")),
        ("a", (".", "a")),
        ("", (".", ".")),
    ],
)
def test_a_path_is_split_at_its_last_part(path: str, parts: tuple[str, str]) -> None:
    assert split_path(path) == parts


def test_a_local_path_keeps_its_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for ending in ("", "/", "/."):
        assert absolute_path(f"x/../a{ending}") == f"{tmp_path}/a{ending}"
    assert absolute_path(".") == f"{tmp_path}/."
    assert absolute_path("/") == "/"


def test_a_link_that_is_followed_leaves_its_name() -> None:
    assert follow_link("/a/link", "/b/target") == ("/b/target", "link")
    assert follow_link("/a/link/.", "/b/target") == ("/b/target/.", "")
    assert follow_link("/a/same/", "/b/same") == ("/b/same/", "")


@pytest.mark.parametrize(
    ("source", "destination", "directory", "name"),
    [
        (End("/s/f", True), DIRECTORY, "/d/there", "f"),
        (End("/s/f", True), FILE, "/d", "there"),
        (End("/s/f", True), MISSING, "/d", "new"),
        (End("/s/f", True, rename="link"), MISSING, "/d", "new"),
        (End("/s/f", True, True), DIRECTORY, "/d/there", "f"),
        (End("/s/f", True, True), MISSING, "/d", "new"),
        (End("/s/f", True, True), End("/d/new/"), "/d", "new"),
    ],
)
def test_a_copy_goes_into_a_directory_or_takes_the_destinations_name(
    source: End, destination: End, directory: str, name: str
) -> None:
    plan = plan_copy(source, destination)
    assert (plan.directory, plan.name(source.rename or "f")) == (directory, name)


@pytest.mark.parametrize(
    ("source", "destination", "says"),
    [
        (End("/s", True, True), FILE, "cannot copy directory"),
        (End("/s", True), End("/d/new/"), "no such directory"),
        (End("/s", True), End("/d/new/."), "no such directory"),
    ],
)
def test_a_copy_that_cannot_be_is_refused(source: End, destination: End, says: str) -> None:
    with pytest.raises(CommandFailed, match=f"^{says}$"):
        plan_copy(source, destination)


def test_the_content_of_a_directory_goes_beside_what_is_there() -> None:
    assert plan_copy(End("/s/.", True, True), DIRECTORY).name("./x") == "./x"
    assert plan_copy(End("/s/.", True, True), MISSING).name("./x") == "new/x"


def test_sources_are_resolved_up_to_their_last_part(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").touch()
    (tmp_path / "link").symlink_to("real")
    assert local_source(f"{tmp_path}/link", follow=False) == End(f"{tmp_path}/link", True)
    assert local_source(f"{tmp_path}/link", follow=True) == End(f"{tmp_path}/real", True, True, "link")
    assert local_source(f"{tmp_path}/link/file", follow=False) == End(f"{tmp_path}/real/file", True)
    assert local_source(f"{tmp_path}/link/.", follow=False) == End(f"{tmp_path}/real/.", True, True)
    for path in ("real/file/", "real/file/below"):
        with pytest.raises(CommandFailed, match=r"^not a directory$"):
            local_source(f"{tmp_path}/{path}", follow=False)
    for missing in ("nope", "nope/file"):
        with pytest.raises(CommandFailed, match=r"^lstat "):
            local_source(f"{tmp_path}/{missing}", follow=False)


def test_destinations_are_resolved_to_where_links_lead(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("three")
    assert local_destination(f"{tmp_path}/one") == End(f"{tmp_path}/three")
    (tmp_path / "three").mkdir()
    assert local_destination(f"{tmp_path}/one") == End(f"{tmp_path}/three", True, True)
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(CommandFailed, match="too many symlinks"):
        local_destination(f"{tmp_path}/circle")
    with pytest.raises(CommandFailed, match="no such file"):
        local_destination(f"{tmp_path}/nope/new")


def test_output_needs_a_directory_and_is_no_device(tmp_path: Path) -> None:
    check_output(f"{tmp_path}/new")
    check_output("-")
    with pytest.raises(CommandFailed, match=r'invalid output path: directory ".*/nope" does not exist'):
        check_output(f"{tmp_path}/nope/new")
    with pytest.raises(CommandFailed, match="must be a directory or a regular file: got a device"):
        check_output(os.devnull)
