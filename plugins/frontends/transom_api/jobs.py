"""How a handler has the engine do work: a job, in a thread of the engine's pool."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from transom.engine import Engine
    from transom.job import Job

__all__ = ["engine_of", "run", "run_job", "run_plain"]

T = TypeVar("T")


def engine_of(request: web.Request) -> Engine:
    """Return the engine that a request is for."""
    return cast("Engine", request.app["engine"])


async def run(request: web.Request, name: str, /, **parameters: Any) -> Any:
    """Make a job, run it, and return its result. A client that goes away cancels it."""
    engine = engine_of(request)
    return await run_job(engine, engine.job(name, **parameters))


async def run_job(engine: Engine, job: Job) -> Any:
    """Run a job and return its result. If the waiting ends early the job is cancelled."""
    try:
        return await run_plain(engine, job.run)
    except asyncio.CancelledError:
        job.cancel()
        raise


async def run_plain(engine: Engine, work: Callable[..., T], *arguments: Any) -> T:
    """Do blocking work in the pool and return its result."""
    return await asyncio.get_running_loop().run_in_executor(engine.pool, work, *arguments)
