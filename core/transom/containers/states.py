"""Whether what a client wants can be done in the state that a container is in; checks raise `Conflict` if it cannot."""

from __future__ import annotations

from transom.containers.model import Container, Status
from transom.errors import Conflict, NotModified

__all__ = ["check_attachable", "check_executable", "check_running", "check_startable", "why_not_removed"]


def check_running(container: Container) -> None:
    """Return if a container has processes that can be looked at."""
    if container.state.status is Status.RESTARTING:
        raise Conflict(f"container {container.id} is restarting, wait until the container is running")
    if not container.state.running:
        raise Conflict(f"container {container.id} is not running")


def check_executable(container: Container, name: str) -> None:
    """Return if processes can be added to a container, which the client calls `name`."""
    check_running(container)
    if container.state.status is Status.PAUSED:
        raise Conflict(f"container {name} is paused, unpause the container before exec")


def check_attachable(container: Container, name: str) -> None:
    """Return if clients can be attached to a container, which the client calls `name`; it need not run yet."""
    if container.state.status is Status.PAUSED:
        raise Conflict(f"container {name} is paused, unpause the container before attach")
    if container.state.status is Status.RESTARTING:
        raise Conflict(f"container {name} is restarting, wait until the container is running")


def check_startable(container: Container) -> None:
    """Return if a container can be started. Raises also `NotModified` if it runs."""
    status = container.state.status
    if status is Status.PAUSED:
        raise Conflict("cannot start a paused container, try unpause instead")
    if status is Status.RUNNING:
        raise NotModified(f"container {container.id} is already running")
    if status in (Status.REMOVING, Status.DEAD):
        raise Conflict("container is marked for removal and cannot be started")


def why_not_removed(container: Container) -> str:
    """Return why a container that runs is not removed, and what to do."""
    status = container.state.status
    if status is Status.PAUSED:
        return "container is paused and must be unpaused first"
    return f"container is {status.value}: stop the container before removing or force remove"
