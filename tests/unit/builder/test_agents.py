"""A socket of the machine that leads to a client's SSH agent."""

import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from transom.errors import NotFound
from transom_builder.agents import Agent


class Client:
    """A client with an agent that says everything twice, until it has none any more."""

    def __init__(self) -> None:
        self.has_agent = True

    def connect(self) -> socket.socket:
        if not self.has_agent:
            raise NotFound("no agent")
        near, far = socket.socketpair()

        def answer() -> None:
            with far:
                while data := far.recv(1 << 16):
                    far.sendall(data)
                    far.sendall(data)

        threading.Thread(target=answer, daemon=True).start()
        return near


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def path(tmp_path: Path, client: Client) -> Iterator[Path]:
    # Longer than the address of a socket may be.
    directory = tmp_path / ("d" * 100)
    directory.mkdir()
    status = tmp_path.stat()
    agent = Agent(directory / "agent", client.connect, (status.st_uid, status.st_gid), 0o640)
    thread = threading.Thread(target=agent.serve)
    thread.start()
    yield directory / "agent"
    agent.close()
    thread.join()


def connect(path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    monkeypatch.chdir(path.parent)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path.name)
    return connection


def everything(connection: socket.socket) -> bytes:
    """Read until the other end says no more."""
    data = b""
    while piece := connection.recv(1 << 16):
        data += piece
    return data


def test_the_socket_has_its_mode(path: Path) -> None:
    assert stat.filemode(path.stat().st_mode) == "srw-r-----"


def test_data_goes_both_ways_until_both_ends_are_done(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(path, monkeypatch) as one, connect(path, monkeypatch) as other:
        other.sendall(b"other")
        one.sendall(b"one")
        one.shutdown(socket.SHUT_WR)
        assert everything(one) == b"oneone"
        other.shutdown(socket.SHUT_WR)
        assert everything(other) == b"otherother"


def test_much_data_is_passed_on_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(256)) * (1 << 12)
    with connect(path, monkeypatch) as connection:

        def send() -> None:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert len(everything(connection)) == 2 * len(data)
        sender.join()


def test_a_client_without_agent_hangs_up_and_the_next_one_is_asked(
    path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.has_agent = False
    with connect(path, monkeypatch) as connection:
        assert connection.recv(1) == b""
    client.has_agent = True
    with connect(path, monkeypatch) as connection:
        connection.sendall(b"x")
        connection.shutdown(socket.SHUT_WR)
        assert everything(connection) == b"xx"
