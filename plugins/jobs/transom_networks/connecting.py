"""The jobs that connect containers to networks and take them off, whether they run or not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from transom.containers.model import Container, Status
from transom.containers.networking import DONOR
from transom.drivers.network import EndpointSettings, Network, SandboxKind
from transom.errors import Conflict, Forbidden, NotFound
from transom.networks.settings import check_settings

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["network_connect", "network_disconnect"]

_SHARED = "container sharing network namespace with another container or host cannot be connected to any other network"


def network_connect(
    engine: Engine, _job: Job, *, name: str, container: str, settings: EndpointSettings | None = None
) -> None:
    """Connect a container to one more network, at once if it runs and otherwise from its next start on.

    Raises `NotFound`, `InvalidParameter` for settings that the network cannot keep, `Forbidden` for a container that is
    on it already or whose network mode allows no more.
    """
    network = engine.networks.get(name)
    settings = replace(settings or EndpointSettings(), network=network.id)
    with engine.containers.locked(container) as found:
        _check_connectable(engine, found, network)
        check_settings(network, settings)
        wanted = replace(found, networks={**found.networks, network.name: settings})
        if found.state.running:
            engine.supervisor.connect(wanted, network)
        else:
            engine.containers.replace(wanted)


def _check_connectable(engine: Engine, container: Container, network: Network) -> None:
    if container.state.status in (Status.REMOVING, Status.DEAD):
        raise Conflict(f"container {container.id} is marked for removal and cannot be connected or disconnected")
    if network.name in container.networks:
        raise Forbidden(f"endpoint with name {container.name} already exists in network {network.name}")
    wanted = _sandbox(engine, network.name)
    present = {_sandbox(engine, name) for name in container.networks}
    if container.network.startswith(DONOR) or SandboxKind.HOST in present:
        raise Forbidden(_SHARED)
    if SandboxKind.ISOLATED in present or (wanted is SandboxKind.ISOLATED and present):
        raise Forbidden(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        )
    if wanted is SandboxKind.HOST or (wanted is SandboxKind.ISOLATED and container.state.running):
        raise Forbidden(f"container cannot be disconnected from host network or connected to {network.name} network")


def _sandbox(engine: Engine, name: str) -> SandboxKind | None:
    """Return which namespace a network's containers have, None for a network that was removed meanwhile."""
    try:
        return engine.networks.kind(engine.networks.get(name).driver).sandbox
    except NotFound:
        return None


def network_disconnect(engine: Engine, _job: Job, *, name: str, container: str, force: bool = False) -> None:
    """Take a container off a network. With `force` a container that is not there, or not on it, is no error.

    Raises `NotFound`, `Forbidden` for a container that is not on the network or has the machine's.
    """
    try:
        with engine.containers.locked(container) as found:
            _disconnect(engine, found, name)
    except (NotFound, Forbidden):
        if not force:
            raise


def _disconnect(engine: Engine, container: Container, name: str) -> None:
    # A container may be on a network that is not there any more.
    network = name if name in container.networks else engine.networks.get(name).name
    if network not in container.networks:
        raise Forbidden(f"container {container.id} is not connected to network {network}")
    kind = _sandbox(engine, network)
    if kind is SandboxKind.HOST or (kind is SandboxKind.ISOLATED and container.state.running):
        raise Forbidden(f"container cannot be disconnected from {network} network or connected to {network} network")
    left = replace(
        container, networks={other: asked for other, asked in container.networks.items() if other != network}
    )
    if container.state.running:
        engine.supervisor.disconnect(left, network)
    else:
        engine.containers.replace(left)
