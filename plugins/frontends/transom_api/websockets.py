"""Attaching over a WebSocket (RFC 6455), for browsers, which have no other streams both ways."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from aiohttp import WSCloseCode, WSMsgType, web

from transom.containers.states import check_attachable
from transom.errors import TransomError
from transom_api.jobs import engine_of, run
from transom_api.parameters import Query

if TYPE_CHECKING:
    from transom.containers.model import Container

__all__ = ["get_container_attach_ws"]

_CHUNK = 32 << 10
#: Bytes of a reason for closing (RFC 6455, section 5.5).
_LONGEST_REASON = 123


async def get_container_attach_ws(request: web.Request) -> web.StreamResponse:
    """GET /containers/{id}/attach/ws: binary messages are the container's streams, its output without frames."""
    query = Query(request)
    keys = query.detach_keys()
    name = request.match_info["id"]
    container: Container = await run(request, "inspect", container=name)
    check_attachable(container, name)
    web_socket = web.WebSocketResponse(autoping=True)
    await web_socket.prepare(request)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        job = engine_of(request).job(
            "attach",
            container=container.id,
            connection=theirs.fileno(),
            stdin=query.flag("stdin"),
            stdout=query.flag("stdout"),
            stderr=query.flag("stderr"),
            stream=query.flag("stream"),
            logs=query.flag("logs"),
            framed=False,
            detach_keys=keys,
        )
        attaching = engine_of(request).submit(job.run)
        reader, writer = await asyncio.open_connection(sock=ours.dup())
        sending = asyncio.create_task(_send_output(reader, web_socket))
        try:
            try:
                await asyncio.wrap_future(attaching)
            except TransomError as error:
                await web_socket.close(code=WSCloseCode.INTERNAL_ERROR, message=str(error).encode()[:_LONGEST_REASON])
                return web_socket
            # The job, or the shim, has a copy of its own; when that is closed, the output ends.
            theirs.close()
            receiving = asyncio.create_task(_receive_input(web_socket, writer))
            try:
                await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                receiving.cancel()
        finally:
            job.cancel()
            sending.cancel()
            writer.close()
    await web_socket.close()
    return web_socket


async def _send_output(reader: asyncio.StreamReader, web_socket: web.WebSocketResponse) -> None:
    """Send what the container writes, until its streams end or the client is gone."""
    while data := await reader.read(_CHUNK):
        await web_socket.send_bytes(data)


async def _receive_input(web_socket: web.WebSocketResponse, writer: asyncio.StreamWriter) -> None:
    """Write what the client sends, until it is gone."""
    async for message in web_socket:
        if message.type in (WSMsgType.BINARY, WSMsgType.TEXT):
            writer.write(message.data if isinstance(message.data, bytes) else message.data.encode())
            await writer.drain()
