"""`save`, `load` and `import`: what goes to the daemon, and where what comes from it goes."""

from __future__ import annotations

import json
import os
import pty
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

Capture = pytest.CaptureFixture[str]
Transom = Callable[..., int]

ID = "sha256:" + "a1" * 32


def query(request: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(request.target).query)


@pytest.fixture
def archive(daemon: Any) -> bytes:
    """A daemon that answers with an archive."""
    content = bytes(range(256)) * 1000

    def answer(request: Any) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nContent-Length: {len(content)}\r\n\r\n"
        request.connection.sendall(head.encode() + content)

    daemon.on("GET", "/images/get", answer)
    return content


def test_save_writes_a_file(archive: bytes, daemon: Any, transom: Transom, tmp_path: Path) -> None:
    target = tmp_path / "images.tar"
    target.write_bytes(b"older")
    assert transom("save", "-o", str(target), "app:1", "other") == 0
    assert target.read_bytes() == archive
    assert target.stat().st_mode & 0o777 == 0o600
    assert query(daemon.requests[0]) == {"names": ["app:1", "other"]}
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["images.tar"]


def test_save_writes_to_standard_output(
    archive: bytes, transom: Transom, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert transom("image", "save", "app:1") == 0
    assert capfdbinary.readouterr().out == archive


def test_save_does_not_write_to_a_terminal(
    archive: bytes, daemon: Any, transom: Transom, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "isatty", lambda descriptor: descriptor == 1)
    assert transom("save", "app:1") == 1
    assert capfd.readouterr().err == "cowardly refusing to save to a terminal. Use the -o flag or redirect\n"
    assert daemon.requests == []


@pytest.mark.parametrize("target", ["nowhere/images.tar", "."])
def test_save_looks_at_its_target_first(
    archive: bytes, daemon: Any, transom: Transom, capfd: Capture, tmp_path: Path, target: str
) -> None:
    assert transom("save", "-o", str(tmp_path / target), "app:1") == 1
    assert capfd.readouterr().err.startswith("failed to save image: ")
    assert daemon.requests == []


def test_a_save_that_is_cut_leaves_no_file(daemon: Any, transom: Transom, capfd: Capture, tmp_path: Path) -> None:
    def cut(request: Any) -> None:
        request.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + bytes(1000))
        request.connection.shutdown(socket.SHUT_RDWR)

    daemon.on("GET", "/images/get", cut)
    target = tmp_path / "images.tar"
    target.write_bytes(b"older")
    assert transom("save", "-o", str(target), "app:1") == 1
    assert target.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["images.tar"]


def test_an_image_that_is_not_there_is_said_so(daemon: Any, transom: Transom, capfd: Capture, tmp_path: Path) -> None:
    daemon.on("GET", "/images/get", lambda request: request.answer({"message": "No such image: app:1"}, 404))
    assert transom("save", "-o", str(tmp_path / "x"), "app:1") == 1
    assert capfd.readouterr().err == "Error response from daemon: No such image: app:1\n"
    assert not (tmp_path / "x").exists()


@pytest.fixture
def loading(daemon: Any) -> list[bytes]:
    """A daemon that takes archives."""
    bodies: list[bytes] = []

    def answer(request: Any) -> None:
        bodies.append(request.body)
        lines = [{"stream": "Loaded image: app:1\n"}, {"stream": f"Loaded image ID: {ID}\n"}]
        text = "".join(json.dumps(line) + "\n" for line in lines).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        request.connection.sendall(head.encode() + text)

    daemon.on("POST", "/images/load", answer)
    return bodies


def test_load_sends_a_file(loading: list[bytes], daemon: Any, transom: Transom, capfd: Capture, tmp_path: Path) -> None:
    source = tmp_path / "images.tar"
    source.write_bytes(b"x" * 700_000)
    assert transom("load", "-i", str(source), "--platform", "linux/arm64") == 0
    assert loading == [b"x" * 700_000]
    assert capfd.readouterr().out == f"Loaded image: app:1\nLoaded image ID: {ID}\n"
    # Not on a terminal, so nobody would see bars.
    asked = query(daemon.requests[0])
    assert asked["quiet"] == ["1"]
    assert json.loads(asked["platform"][0]) == {"architecture": "arm64", "os": "linux"}


@pytest.fixture
def standard_input(tmp_path: Path) -> Iterator[Callable[[bytes], None]]:
    """Lets standard input be some content."""
    before = os.dup(0)

    def replace(content: bytes) -> None:
        source = tmp_path / "standard-input"
        source.write_bytes(content)
        descriptor = os.open(source, os.O_RDONLY)
        os.dup2(descriptor, 0)
        os.close(descriptor)

    yield replace
    os.dup2(before, 0)
    os.close(before)


def test_load_sends_standard_input(
    loading: list[bytes], transom: Transom, standard_input: Callable[[bytes], None]
) -> None:
    standard_input(b"archive")
    assert transom("image", "load", "-q") == 0
    assert loading == [b"archive"]


def test_load_does_not_wait_for_somebody_to_type_an_archive(daemon: Any, transom: Transom, capfd: Capture) -> None:
    ours, theirs = pty.openpty()
    before = os.dup(0)
    os.dup2(theirs, 0)
    try:
        assert transom("load") == 1
    finally:
        os.dup2(before, 0)
        for descriptor in (before, ours, theirs):
            os.close(descriptor)
    assert capfd.readouterr().err == "requested load from stdin, but stdin is empty\n"
    assert daemon.requests == []


@pytest.mark.parametrize("command", [["load", "-i"], ["import"]])
def test_a_file_that_is_not_there_is_not_sent(
    daemon: Any, transom: Transom, capfd: Capture, command: list[str]
) -> None:
    assert transom(*command, "/nowhere/x") == 1
    assert capfd.readouterr().err == "open /nowhere/x: no such file or directory\n"
    assert daemon.requests == []


def test_what_is_wrong_with_an_archive_is_said(daemon: Any, transom: Transom, capfd: Capture, tmp_path: Path) -> None:
    daemon.on("POST", "/images/load", lambda request: request.answer({"errorDetail": {"message": "it is damaged"}}))
    (tmp_path / "x").write_bytes(b"x")
    assert transom("load", "-i", str(tmp_path / "x")) == 1
    assert capfd.readouterr().err == "it is damaged\n"


def test_import_sends_a_file_and_what_is_to_be_said_of_it(
    daemon: Any, transom: Transom, capfd: Capture, tmp_path: Path
) -> None:
    daemon.on("POST", "/images/create", {"status": ID})
    (tmp_path / "x").write_bytes(b"archive")
    flags = ["-c", "CMD a", "--change", "ENV B=1", "-m", "why", "--platform", "linux/arm64"]
    assert transom("import", *flags, str(tmp_path / "x"), "app:1") == 0
    assert capfd.readouterr().out == f"{ID}\n"
    assert daemon.requests[0].body == b"archive"
    assert query(daemon.requests[0]) == {
        "fromSrc": ["-"],
        "repo": ["app:1"],
        "message": ["why"],
        "changes": ["CMD a", "ENV B=1"],
        "platform": ["linux/arm64"],
    }


def test_import_lets_the_daemon_fetch_a_url(daemon: Any, transom: Transom) -> None:
    daemon.on("POST", "/images/create", {"status": ID})
    assert transom("image", "import", "https://host/files.tar") == 0
    assert query(daemon.requests[0]) == {"fromSrc": ["https://host/files.tar"]}


def test_import_does_not_send_a_name_that_no_image_can_have(daemon: Any, transom: Transom) -> None:
    assert transom("import", "-", "App") == 1
    assert daemon.requests == []
