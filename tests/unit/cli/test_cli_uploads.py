"""Bodies that are made while they are sent."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from transom_cli.client import Client
from transom_cli.transport import Connection, parse_host


def test_an_upload_arrives_whole(daemon: Any) -> None:
    daemon.on("POST", "/images/load", lambda request: request.answer({"size": len(request.body)}))
    response = Client(daemon.host).upload("POST", "/images/load", (b"x" * size for size in (1, 0, 300_000)), quiet=True)
    assert response.read() == b'{"size": 300001}'
    request = daemon.requests[0]
    assert request.headers["content-type"] == "application/x-tar"
    assert request.target.endswith("/images/load?quiet=1")


def test_a_refusal_in_the_middle_of_an_upload_is_heard(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 413 X\r\nContent-Length: 2\r\n\r\nno"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(64)
                connection.sendall(answer)

        server = threading.Thread(target=refuse)
        server.start()
        connection = Connection(parse_host(f"unix://{tmp_path}/s"))
        response = connection.upload("POST", "/images/load", {}, itertools.repeat(b"x" * 65536))
        assert (response.status, response.read()) == (413, b"no")
        connection.close()
        server.join()


def test_what_goes_wrong_with_the_file_is_not_taken_for_the_daemon(daemon: Any) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise BrokenPipeError("the file, not the daemon")

    with pytest.raises(BrokenPipeError, match="the file"):
        Client(daemon.host).upload("POST", "/images/load", broken())
