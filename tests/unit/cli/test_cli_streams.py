"""HTTP as it arrives, frames, and the keys that detach."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom_cli.errors import CommandFailed, Unreachable
from transom_cli.streams import Frames, exchange
from transom_cli.terminal import DetachKeys
from transom_cli.transport import Address, Connection, encode_query, parse_host, quote

Pieces = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=50)), max_size=20)


def _answer(tmp_path: Path, raw: bytes) -> Connection:
    """Return a connection to something that answers every request with `raw` and hangs up."""
    path = tmp_path / "raw"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(raw)
        connection.close()
        listener.close()

    threading.Thread(target=serve, daemon=True).start()
    return Connection(Address("unix", path=str(path)))


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_a_body_ends_where_its_head_says(tmp_path: Path, raw: bytes, body: bytes) -> None:
    connection = _answer(tmp_path, raw)
    assert connection.request("GET", "/", {}).read() == body
    connection.socket.recv(1)  # the server has hung up when this returns
    assert not connection.reusable()
    connection.close()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_an_answer_that_is_cut_off_or_is_no_http_is_a_broken_connection(tmp_path: Path, raw: bytes) -> None:
    connection = _answer(tmp_path, raw)
    with pytest.raises(Unreachable, match="the connection to the daemon at unix broke"):
        connection.request("GET", "/", {}).read()
    connection.close()


def test_lines_are_whole_however_they_arrive(tmp_path: Path) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n4\r\nc\n\nd\r\n0\r\n\r\n"
    connection = _answer(tmp_path, raw)
    assert list(connection.request("GET", "/", {}).lines()) == [b"a", b"bc", b"d"]
    connection.close()


@given(st.text())
def test_a_query_holds_any_text(text: str) -> None:
    from urllib.parse import unquote

    assert unquote(quote(text), errors="surrogateescape") == text


def test_a_query_leaves_out_what_is_not_set() -> None:
    assert encode_query({"a": True, "b": False, "c": None, "d": 0, "e": {"k": ["v"]}}) == (
        "?a=1&d=0&e=%7B%22k%22%3A%20%5B%22v%22%5D%7D"
    )


@pytest.mark.parametrize("host", ["", "foo", "unix://", "tcp://x:65536", "tcp://x:y", "tcp://:1", "ftp://x:1"])
def test_what_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(CommandFailed, match="invalid host"):
        parse_host(host)


def test_an_address_may_be_ipv6() -> None:
    assert parse_host("tcp://[::1]:2375")[2:] == ("::1", 2375)


@given(Pieces, st.integers(1, 60))
def test_frames_give_back_what_was_framed_however_they_are_cut(pieces: list[tuple[int, bytes]], cut: int) -> None:
    raw = b"".join(bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data for stream, data in pieces)
    frames = Frames()
    found = {1: b"", 2: b""}
    for start in range(0, len(raw), cut):
        for descriptor, data in frames.feed(raw[start : start + cut]):
            found[descriptor] += data
    for stream in (1, 2):
        assert found[stream] == b"".join(data for number, data in pieces if number == stream)


def test_an_error_in_the_stream_is_the_commands() -> None:
    with pytest.raises(CommandFailed, match="error from daemon in stream: disk full"):
        list(Frames().feed(b"\x03\0\0\0\0\0\0\x09disk full"))


def test_bytes_that_are_no_frame_are_refused() -> None:
    with pytest.raises(CommandFailed, match="Unrecognized input header: 104"):
        list(Frames().feed(b"hello world"))


def _type(keys: DetachKeys, *typed: bytes) -> tuple[bytes, bool]:
    passed = b""
    for piece in typed:
        more, detached = keys.feed(piece)
        passed += more
        if detached:
            return passed, True
    return passed, False


@pytest.mark.parametrize(
    ("typed", "passed", "detached"),
    [
        ([b"ls\n"], b"ls\n", False),
        ([b"\x10\x11"], b"", True),
        ([b"a\x10", b"\x11b"], b"a", True),
        ([b"\x10x"], b"\x10x", False),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"\x10"], b"", False),
        ([b"\x11\x10a"], b"\x11\x10a", False),
    ],
)
def test_the_detach_keys_are_held_back_and_all_else_is_passed_on(
    typed: list[bytes], passed: bytes, detached: bool
) -> None:
    assert _type(DetachKeys("ctrl-p,ctrl-q"), *typed) == (passed, detached)


@given(st.binary().filter(lambda typed: b"\x10" not in typed))
def test_what_has_no_detach_key_in_it_is_passed_on_unchanged(typed: bytes) -> None:
    assert DetachKeys("ctrl-p,ctrl-q").feed(typed) == (typed, False)


@pytest.mark.parametrize("keys", ["bogus", "", "ctrl-", "ctrl-1", "a,,b", "é"])
def test_detach_keys_that_are_none_are_refused(keys: str) -> None:
    with pytest.raises(CommandFailed, match="invalid detach keys"):
        DetachKeys(keys)


def test_a_process_that_echoes_more_than_buffers_hold_is_not_blocked(
    tmp_path: Path, framed: Callable[[int, bytes], bytes]
) -> None:
    ours, theirs = socket.socketpair()
    sent = os.urandom(4 << 20)
    source = tmp_path / "in"
    source.write_bytes(sent)
    target = tmp_path / "out"

    def echo() -> None:
        with theirs:
            while data := theirs.recv(65536):
                theirs.sendall(framed(1, data))

    threading.Thread(target=echo, daemon=True).start()
    connection = Connection.__new__(Connection)
    connection.socket, connection._http = ours, h11.Connection(h11.CLIENT)
    before = os.dup(0), os.dup(1)
    try:
        with source.open("rb") as stdin, target.open("wb") as stdout:
            os.dup2(stdin.fileno(), 0)
            os.dup2(stdout.fileno(), 1)
            detached = exchange(connection, terminal=False, stdin=True)
    finally:
        for number, saved in enumerate(before):
            os.dup2(saved, number)
            os.close(saved)
        connection.close()
    assert not detached
    assert target.read_bytes() == sent
