"""The jobs that change a container and leave it running: pause, unpause, rename, update."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from transom.containers.model import RestartPolicy, Status
from transom.containers.names import check_name
from transom.containers.restarts import check_policy
from transom.errors import Conflict, InvalidParameter

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["pause", "rename", "unpause", "update"]


def pause(engine: Engine, _job: Job, *, container: str) -> None:
    """Stop all processes of a container where they are."""
    engine.supervisor.pausing.pause(container)


def unpause(engine: Engine, _job: Job, *, container: str) -> None:
    """Let the processes of a paused container go on."""
    engine.supervisor.pausing.unpause(container)


def rename(engine: Engine, _job: Job, *, container: str, name: str) -> None:
    """Give a container another name. Raises `Conflict` for one in use, `InvalidParameter` for a wrong one."""
    if not name:
        raise InvalidParameter("Neither old nor new names may be empty")
    with engine.containers.locked(container) as found:
        if name.removeprefix("/") == found.name:
            raise InvalidParameter("Renaming a container with the same name as its current name")
        try:
            renamed = engine.containers.rename(found, check_name(f"/{name.removeprefix('/')}"))
        except (Conflict, InvalidParameter) as error:
            raise type(error)(f"Error when allocating new name: {error}") from error
        if renamed.state.running and renamed.endpoints:
            engine.supervisor.rename(renamed)
        engine.supervisor.record(renamed, "rename", {"oldName": f"/{found.name}"})


def update(engine: Engine, _job: Job, *, container: str, restart: RestartPolicy | None = None) -> tuple[str, ...]:
    """Change what a container was created with, and return warnings.

    A `restart` policy counts from the container's next end. Raises `InvalidParameter` for a wrong one, `Conflict` for a
    container that is removed when it ends.
    """
    with engine.containers.locked(container) as found:
        if found.state.status in (Status.REMOVING, Status.DEAD):
            raise Conflict(
                f'Cannot update container {found.id}: Container is marked for removal and cannot be "update".'
            )
        if restart is not None:
            check_policy(restart)
            if found.host.auto_remove and restart.name not in ("", "no"):
                raise Conflict(
                    f"Cannot update container {found.id}: Restart policy cannot be updated because AutoRemove is"
                    " enabled for the container"
                )
            found = replace(found, host=replace(found.host, restart=restart))
            engine.containers.replace(found)
        engine.supervisor.record(found, "update")
    return ()
