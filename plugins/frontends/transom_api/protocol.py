"""HTTP as aiohttp speaks it, but for the answers to what is no HTTP: they are JSON, as all errors are."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from aiohttp.web_protocol import RequestHandler

from transom.errors import InvalidParameter
from transom_api.router import HEADERS, answer

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.web_request import BaseRequest

__all__ = ["Protocol", "expect"]

log = logging.getLogger(__name__)


class Protocol(RequestHandler):
    """One connection's protocol. What no handler sees is answered here."""

    __slots__ = ()

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop=loop, access_log=None)  # type: ignore[arg-type]  # None is no log

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to a request that cannot be read, after which the connection is closed."""
        if status != InvalidParameter.status:
            return super().handle_error(request, status, exc, message)
        reason = next((line for line in (message or "").splitlines() if line.strip()), "it is not HTTP/1.1")
        log.debug("a request cannot be read: %s", reason)
        response = answer({"message": f"the request cannot be read: {reason.strip().rstrip(':')}"}, status)
        response.headers.update(HEADERS)
        response.force_close()
        return response


async def expect(request: web.Request) -> web.StreamResponse | None:
    """Do what a request expects before its body is sent (RFC 9110, 10.1.1); anything but `100-continue` is refused."""
    wanted = request.headers.get("Expect", "")
    if wanted.lower() != "100-continue":
        return answer({"message": f"the expectation {wanted!r} cannot be met: the only one is 100-continue"}, 417)
    writer = request.writer
    await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # It is no part of the answer, whose head may still be an error's.
    writer.output_size = 0
    return None
