"""The server: an event loop in the thread of the frontend, which listens until the engine stops."""

from __future__ import annotations

import asyncio
import logging
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from aiohttp import web

from transom.containers.model import Status
from transom_api.connection import Connection
from transom_api.logs import READERS
from transom_api.protocol import Protocol, expect
from transom_api.router import add_headers, edge
from transom_api.routes import REFUSED, ROUTES
from transom_api.sockets import BACKLOG, listening

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["make_app", "serve"]

log = logging.getLogger(__name__)

#: Seconds that requests may go on when the daemon stops.
_GRACE = 5.0
_LONGEST_BODY = 4 << 20


def serve(engine: Engine) -> None:
    """Serve the API on the sockets of the configuration until `engine.stopping` is set, and end all streams."""
    asyncio.run(_Server(engine).run())


def make_app(engine: Engine) -> web.Application:
    """Return the API of an engine as an application, with the routes that plugins add."""
    app = web.Application(middlewares=[edge], client_max_size=_LONGEST_BODY)
    with warnings.catch_warnings():
        # Plugins find the engine by this name; a key object would have to be imported from here.
        warnings.simplefilter("ignore", web.NotAppKeyWarning)
        app["engine"] = engine
        app["feeds"] = set()
        app["followers"] = set()
        app["sessions"] = {}
        app["readers"] = asyncio.Semaphore(READERS)
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(_end_feeds)
    for method, path, handler in (*ROUTES, *REFUSED):
        _add(app, method, path, handler)
    for route, plugin in engine.catalog.gather("transom_routes"):
        log.info("plugin %s adds %s %s", plugin.name, route.method, route.path)
        _add(app, route.method, route.path, route.handler)
    return app


def _add(app: web.Application, method: str, path: str, handler: Any) -> None:
    for pattern in (path, f"/v{{version:[0-9][0-9.]{{0,15}}}}{path}"):
        app.router.add_route(method, pattern, handler, expect_handler=expect)


async def _end_feeds(app: web.Application) -> None:
    for feed in tuple(app["feeds"]):
        feed.end()
    for woken in tuple(app["followers"]):
        woken.set()


class _Server:
    """One engine's server: its listeners, and whether anybody is connected."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connections = 0
        self._idle: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Listen until the engine stops."""
        loop = asyncio.get_running_loop()
        runner = web.AppRunner(
            make_app(self._engine), access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE
        )
        await runner.setup()
        inner = runner.server
        assert inner is not None
        with ExitStack() as undo:
            servers = [
                await loop.create_unix_server(
                    lambda: Connection(Protocol(inner, loop), self._opened, self._closed),
                    sock=undo.enter_context(listening(host)),
                    backlog=BACKLOG,
                )
                for host in self._engine.config.hosts
            ]
            self._watch_idleness()
            await loop.run_in_executor(self._engine.pool, self._engine.stopping.wait)
            for server in servers:
                server.close()
            if self._idle is not None:
                self._idle.cancel()
            await runner.cleanup()

    def _opened(self) -> None:
        self._connections += 1
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _closed(self) -> None:
        self._connections -= 1
        self._watch_idleness()

    def _watch_idleness(self) -> None:
        seconds = self._engine.config.idle_exit
        if seconds is not None and not self._connections and not self._engine.stopping.is_set():
            self._idle = asyncio.get_running_loop().call_later(seconds, self._end_if_idle)

    def _end_if_idle(self) -> None:
        self._idle = None
        if any(
            container.state.running or container.state.status is Status.RESTARTING
            for container in self._engine.containers.list()
        ):
            self._watch_idleness()
            return
        log.info(
            "nobody was connected and no container ran for %s seconds: the daemon ends", self._engine.config.idle_exit
        )
        self._engine.stopping.set()
