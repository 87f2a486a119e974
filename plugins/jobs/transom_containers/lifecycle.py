"""The jobs that change what a container does."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from transom.containers.model import WaitResult
from transom.containers.signals import parse_signal
from transom.errors import Conflict, NotFound

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["kill", "remove", "restart", "start", "stop", "wait"]


def start(engine: Engine, _job: Job, *, container: str) -> None:
    """Start a container. Raises `NotModified` if it runs, `StartFailed` if its program cannot be executed."""
    engine.supervisor.start(container)


def stop(engine: Engine, _job: Job, *, container: str, timeout: int | None = None, signal: str = "") -> None:
    """Ask a container to end, and kill it after `timeout` seconds. Raises `NotModified` if it does not run."""
    engine.supervisor.stop(container, timeout, signal)


def restart(engine: Engine, _job: Job, *, container: str, timeout: int | None = None, signal: str = "") -> None:
    """Stop a container if it runs, and start it."""
    engine.supervisor.restart(container, timeout, signal)


def kill(engine: Engine, _job: Job, *, container: str, signal: str = "") -> None:
    """Send a signal, by default KILL, to a container's init."""
    engine.supervisor.kill(container, parse_signal(signal or "KILL"))


def wait(engine: Engine, _job: Job, *, container: str, condition: str = "") -> Future[WaitResult]:
    """Return a future of a container's end; see `Waiters.add` for the conditions."""
    return engine.supervisor.wait(container, condition or "not-running")


def remove(
    engine: Engine,
    _job: Job,
    *,
    container: str,
    force: bool = False,
    volumes: bool = False,
    link: bool = False,
) -> None:
    """Delete a container, and with `volumes` the anonymous volumes that were made for it.

    With `link`, `container` is a link, `parent/alias`, and that alone is removed.
    """
    if link:
        _remove_link(engine, container.removeprefix("/"))
        return
    engine.supervisor.remove(container, force=force, volumes=volumes)


def _remove_link(engine: Engine, name: str) -> None:
    parent, slash, alias = name.rpartition("/")
    if not slash:
        engine.containers.get(name)
        raise Conflict("Conflict, cannot remove the default link name of the container")
    with engine.containers.locked(parent) as found:
        if alias not in found.links:
            raise NotFound(f"No such container: {name}")
        engine.supervisor.unlink(found, alias)
