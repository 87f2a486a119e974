"""Whether what a client wants can be done in the state that a container is in. All raise `Conflict` if it cannot."""

from __future__ import annotations

from transom.containers.model import Container, Status
from transom.errors import Conflict

__all__ = ["check_attachable", "check_executable", "check_running"]


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
