"""Users and groups by name or number, from an image's own files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from transom.containers.users import User, find_user
from transom.errors import InvalidParameter


@pytest.fixture
def root(tmp_path: Path) -> Path:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\n# a comment\nbroken line\nalice:x:1000:1001::/home/alice:/bin/sh\n"
        "homeless:x:7:7:::/bin/sh\n"
    )
    (etc / "group").write_text("root:x:0:\nalice:x:1001:\nvideo:x:44:alice,bob\naudio:x:29:bob,alice\nwheel:x:10:\n")
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "user"),
    [
        ("", User(0, 0, (0,), "/root")),
        ("alice", User(1000, 1001, (1001, 44, 29), "/home/alice")),
        ("1000", User(1000, 1001, (1001, 44, 29), "/home/alice")),
        ("alice:video", User(1000, 44, (44,), "/home/alice")),
        ("alice:5", User(1000, 5, (5,), "/home/alice")),
        ("4242", User(4242, 0, (0,), "/")),
        ("4242:wheel", User(4242, 10, (10,), "/")),
        ("homeless", User(7, 7, (7,), "/")),
    ],
)
def test_a_user_is_found_by_name_and_number(root: Path, wanted: str, user: User) -> None:
    assert find_user(root, wanted) == user


def test_additional_groups_come_on_top(root: Path) -> None:
    assert find_user(root, "alice", ("wheel", "99")).groups == (1001, 44, 29, 10, 99)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("mallory", "unable to find user mallory: no matching entries in passwd file"),
        ("alice:mallory", "unable to find group mallory: no matching entries in group file"),
        ("99999999999", "uid 99999999999 is out of range"),
        ("0:99999999999", "gid 99999999999 is out of range"),
    ],
)
def test_a_user_who_is_not_there_is_refused(root: Path, wanted: str, sentence: str) -> None:
    with pytest.raises(InvalidParameter, match=sentence):
        find_user(root, wanted)


def test_numbers_need_no_files(tmp_path: Path) -> None:
    assert find_user(tmp_path, "5:6") == User(5, 6, (6,), "/")


def test_a_passwd_that_is_a_link_out_of_the_image_is_resolved_inside(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").symlink_to("/etc/passwd")
    with pytest.raises(InvalidParameter):
        find_user(tmp_path, "root")


def test_a_passwd_that_is_a_fifo_does_not_hang(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    assert find_user(tmp_path, "1") == User(1, 0, (0,), "/")
