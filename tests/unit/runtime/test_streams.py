"""The streams of a process and its clients, over real pipes and sockets."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transom.runtime.streams import Beginning, Client, Input, Loop, Output, detach_sequence


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def ends() -> Iterator[tuple[int, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours.detach(), theirs
    theirs.close()


def turn_until(loop: Loop, done: object) -> None:
    for _ in range(1000):
        if done():  # type: ignore[operator]
            return
        loop.turn()
    raise AssertionError("nothing happened")


@pytest.mark.parametrize(
    ("keys", "sequence"),
    [("", b"\x10\x11"), ("ctrl-a,b", b"\x01b"), ("x", b"x"), ("ctrl-[,ctrl-@", b"\x1b\0")],
)
def test_detach_keys_are_bytes(keys: str, sequence: bytes) -> None:
    assert detach_sequence(keys) == sequence


@pytest.mark.parametrize("keys", ["ctrl-", "ctrl-ab", "ab", ",", "ä", "ctrl-1"])
def test_unknown_keys_are_refused(keys: str) -> None:
    with pytest.raises(ValueError, match="invalid detach keys"):
        detach_sequence(keys)


def test_framed_output_has_dockers_header(loop: Loop, ends: tuple[int, socket.socket]) -> None:
    client = Client(loop, ends[0], streams=frozenset(("stdout", "stderr")), framed=True, target=None)
    client.write("stdout", b"out")
    client.write("stderr", b"error")
    client.end()
    assert ends[1].recv(100) == b"\1\0\0\0\0\0\0\3out\2\0\0\0\0\0\0\5error"
    assert ends[1].recv(1) == b""


def test_a_client_gets_only_the_streams_that_it_wants(loop: Loop, ends: tuple[int, socket.socket]) -> None:
    client = Client(loop, ends[0], streams=frozenset(("stderr",)), framed=False, target=None)
    client.write("stdout", b"out")
    client.write("stderr", b"error")
    client.end()
    assert ends[1].recv(100) == b"error"


def test_a_slow_client_fills_its_buffer_and_gets_everything(loop: Loop, ends: tuple[int, socket.socket]) -> None:
    changes: list[bool] = []
    client = Client(
        loop,
        ends[0],
        streams=frozenset(("stdout",)),
        framed=False,
        target=None,
        on_change=lambda: changes.append(client.full),
    )
    sent = os.urandom(64 << 10) * 40
    for start in range(0, len(sent), 64 << 10):
        client.write("stdout", sent[start : start + (64 << 10)])
    assert client.full
    client.end()
    ends[1].setblocking(False)
    got = bytearray()

    def read() -> bool:
        try:
            got.extend(ends[1].recv(1 << 20))
        except BlockingIOError:
            pass
        return len(got) == len(sent)

    turn_until(loop, read)
    assert bytes(got) == sent
    assert True in changes


def test_input_written_before_there_is_a_reader_waits(loop: Loop) -> None:
    stdin = Input(loop)
    stdin.write(b"early ")
    reader, writer = os.pipe()
    stdin.open(writer)
    stdin.write(b"late")
    stdin.end()
    assert os.read(reader, 100) == b"early late"
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_input_without_a_reader_is_dropped(loop: Loop) -> None:
    reader, writer = os.pipe()
    stdin = Input(loop)
    stdin.open(writer)
    os.close(reader)
    stdin.write(b"lost")
    assert stdin.closed


def test_output_ends_once_everything_was_read(loop: Loop) -> None:
    reader, writer = os.pipe()
    got: list[bytes] = []
    ended: list[bool] = []
    output = Output(loop, reader, got.append, lambda: ended.append(True))
    os.write(writer, b"last words")
    os.close(writer)
    turn_until(loop, lambda: ended)
    assert b"".join(got) == b"last words"
    assert output.closed


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    marks = sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
    return [data[start:end] for start, end in itertools.pairwise(marks)]


@settings(max_examples=200)
@given(
    st.binary(max_size=30).filter(lambda data: b"\x10\x11" not in data),
    st.lists(st.integers(0, 40), max_size=5),
)
def test_input_arrives_up_to_the_detach_keys_however_it_is_cut(typed: bytes, cuts: list[int]) -> None:
    loop = Loop()
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    stdin = Input(loop)
    stdin.open(writer)
    client = Client(loop, ours.detach(), streams=frozenset(("stdin",)), framed=False, target=stdin, detach=b"\x10\x11")
    # A sequence may only be told from its beginning when it is whole.
    typed = typed.rstrip(b"\x10")
    for piece in pieces(typed + b"\x10\x11" + b"never", cuts):
        client.feed(piece)
    stdin.end()
    arrived = b"".join(iter(lambda: os.read(reader, 100), b""))
    assert arrived == typed or (client.closed and arrived.startswith(typed))
    assert client.closed
    theirs.close()
    os.close(reader)


def test_a_clients_end_of_input_is_told_and_it_may_still_read(loop: Loop, ends: tuple[int, socket.socket]) -> None:
    ended: list[bool] = []
    client = Client(
        loop,
        ends[0],
        streams=frozenset(("stdin", "stdout")),
        framed=False,
        target=Input(loop),
        on_input_end=lambda: ended.append(True),
    )
    ends[1].shutdown(socket.SHUT_WR)
    turn_until(loop, lambda: ended)
    client.write("stdout", b"answer")
    assert ends[1].recv(10) == b"answer"
    client.close()


def test_a_client_that_is_gone_is_dropped(loop: Loop, ends: tuple[int, socket.socket]) -> None:
    gone: list[Client] = []
    client = Client(loop, ends[0], streams=frozenset(("stdout",)), framed=False, target=None, on_close=gone.append)
    ends[1].close()
    turn_until(loop, lambda: client.closed)
    assert gone == [client]


@given(st.lists(st.binary(max_size=9)), st.integers(1, 20))
def test_a_beginning_is_kept_and_what_is_left_out_is_marked(pieces: list[bytes], limit: int) -> None:
    beginning = Beginning(limit)
    for piece in pieces:
        beginning.write("stdout", piece)
    whole = b"".join(pieces)
    assert beginning.text() == whole[:limit].decode(errors="replace") + ("..." if len(whole) > limit else "")


def test_without_room_nothing_is_kept() -> None:
    beginning = Beginning(0)
    beginning.write("stdout", b"much")
    assert beginning.text() == ""
