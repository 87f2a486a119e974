"""Attaching over a WebSocket, as a browser does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import aiohttp
import pytest

from testbed.daemon import Daemon
from testbed.waiting import wait_for_log

Talk = Callable[[aiohttp.ClientWebSocketResponse], Awaitable[bytes]]


@pytest.fixture
def attach(daemon: Daemon) -> Callable[[str, str, Talk], bytes]:
    """Attach to a container with a query, and do something with the connection."""

    def run(name: str, query: str, talk: Talk) -> bytes:
        async def connect() -> bytes:
            connector = aiohttp.UnixConnector(str(daemon.socket))
            async with (
                aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session,
                session.ws_connect(f"http://d/v1.50/containers/{name}/attach/ws?{query}") as connection,
            ):
                return await talk(connection)

        return asyncio.run(connect())

    return run


@pytest.fixture
def echo(daemon: Daemon) -> Iterator[str]:
    """A container that says each line that it gets, and ends with `end`."""
    script = "echo ready; while read line; do [ $line = end ] && exit 0; echo got $line; done"
    daemon.docker("run", "-d", "-i", "--name", "echo", daemon.busybox, "sh", "-c", script)
    wait_for_log(daemon, "echo", "ready")
    yield "echo"
    daemon.docker("rm", "-f", "echo")


async def until(connection: aiohttp.ClientWebSocketResponse, wanted: bytes) -> bytes:
    """Return what came, all of it binary, when the wanted text has come."""
    data = b""
    while wanted not in data:
        message = await connection.receive()
        assert message.type is aiohttp.WSMsgType.BINARY, message
        data += message.data
    return data


def test_input_and_output_are_binary_messages_without_frames(attach, echo: str) -> None:
    async def talk(connection: aiohttp.ClientWebSocketResponse) -> bytes:
        await connection.send_bytes(b"one\n")
        found = await until(connection, b"got one\n")
        await connection.send_str("two\n")
        found += await until(connection, b"got two\n")
        await connection.send_bytes(b"end\n")
        assert (await connection.receive()).type is aiohttp.WSMsgType.CLOSE
        return found

    assert attach(echo, "stream=1&stdin=1&stdout=1&stderr=1&logs=1", talk) == b"ready\ngot one\ngot two\n"


def test_a_client_that_goes_away_leaves_the_container_running(daemon: Daemon, attach, echo: str) -> None:
    async def talk(connection: aiohttp.ClientWebSocketResponse) -> bytes:
        return await until(connection, b"ready\n")

    for _ in range(2):
        assert attach(echo, "stream=1&stdout=1&logs=1", talk) == b"ready\n"
    assert daemon.docker("inspect", "-f", "{{.State.Status}}", echo).stdout == "running\n"


@pytest.mark.parametrize(("name", "status"), [("nope", 404), ("echo", 409)])
def test_what_cannot_be_attached_to_is_an_ordinary_error(
    daemon: Daemon, attach, echo: str, name: str, status: int
) -> None:
    daemon.docker("pause", echo)

    async def talk(_connection: aiohttp.ClientWebSocketResponse) -> bytes:
        raise AssertionError("it was attached")

    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        attach(name, "stream=1&stdout=1", talk)
    assert error.value.status == status
