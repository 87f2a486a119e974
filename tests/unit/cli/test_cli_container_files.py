"""`diff`, `export` and `commit` against a daemon that says what the test wants."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest


def tarball(request: Any) -> None:
    request.connection.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\ntar")


def test_changes_have_a_letter_each(daemon: Any, transom: Callable[..., int], capsys: Any) -> None:
    changes = [{"Path": "/c", "Kind": 0}, {"Path": "/a b", "Kind": 1}, {"Path": "/d", "Kind": 2}]
    daemon.on("GET", "/containers/c/changes", changes)
    assert transom("diff", "c") == 0
    assert capsys.readouterr().out == "C /c\nA /a b\nD /d\n"


def test_an_export_is_a_file_that_is_whole_or_not_there(
    daemon: Any, transom: Callable[..., int], tmp_path: Path
) -> None:
    daemon.on("GET", "/containers/c/export", tarball)
    target = tmp_path / "file.tar"
    assert transom("export", "-o", str(target), "c") == 0
    assert target.read_bytes() == b"tar"
    broken = b"HTTP/1.1 200 X\r\nContent-Length: 30\r\n\r\nhalf"
    daemon.on("GET", "/containers/c/export", lambda request: (request.connection.sendall(broken), request.hang_up()))
    assert transom("export", "-o", str(target), "c") == 1
    assert target.read_bytes() == b"tar"
    assert {path.name for path in tmp_path.iterdir()} == {"file.tar", "socket"}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.mkdir(), "cannot write to a directory"),
        (lambda path: path.symlink_to("x"), "cannot write to a symbolic link directly"),
        (os.mkfifo, "cannot write to a named pipe (FIFO)"),
        (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), "cannot write to a socket"),
    ],
)
def test_an_export_replaces_files_alone(
    daemon: Any, transom: Callable[..., int], tmp_path: Path, capsys: Any, make: Callable[[Path], Any], says: str
) -> None:
    make(tmp_path / "there")
    assert transom("export", "-o", str(tmp_path / "there"), "c") == 1
    assert capsys.readouterr().err == f"failed to export container: {says}\n"
    assert not daemon.requests


def test_an_export_needs_a_directory(transom: Callable[..., int], tmp_path: Path, capsys: Any) -> None:
    assert transom("export", "-o", str(tmp_path / "no" / "file"), "c") == 1
    assert f"invalid output path: stat {tmp_path}/no: no such file or directory" in capsys.readouterr().err


def test_a_commit_says_all_that_was_asked_for(daemon: Any, transom: Callable[..., int], capsys: Any) -> None:
    daemon.on("POST", "/commit", {"Id": "sha256:1"})
    assert transom("commit", "-a", "me", "-m", "why", "-c", "ENV a=b", "-c", "CMD x", "-p=false", "c", "name") == 0
    assert capsys.readouterr().out == "sha256:1\n"
    assert parse_qs(urlsplit(daemon.requests[0].target).query) == {
        "container": ["c"],
        "repo": ["name"],
        "tag": ["latest"],
        "author": ["me"],
        "comment": ["why"],
        "changes": ["ENV a=b", "CMD x"],
        "pause": ["0"],
    }
    assert transom("commit", "c", f"name@sha256:{0:064}") == 1
