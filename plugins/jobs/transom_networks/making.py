"""The jobs that make and remove networks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from transom.errors import Forbidden
from transom.filters import Filters, Labels, parse_until, refuse_unknown
from transom.networks.model import Network
from transom.system import Pruned

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["network_create", "network_prune", "network_remove"]


def network_create(engine: Engine, _job: Job, *, network: Network) -> Network:
    """Make a network of what was asked for, and return it complete. Raises as `NetworkStore.create` does."""
    made = engine.networks.create(network)
    _record(engine, made, "create")
    return made


def network_remove(engine: Engine, _job: Job, *, name: str) -> None:
    """Delete a network. Raises `NotFound`, and `Forbidden` for one in use or pre-defined."""
    _record(engine, engine.networks.remove(name, _users(engine)), "destroy")


def network_prune(engine: Engine, job: Job, *, filters: Filters | None = None) -> Pruned:
    """Delete the networks that users made and no running container is on, and return their names.

    The filters are `until`, `label` and `label!`. Raises `InvalidParameter` for others and for wrong values.
    """
    filters = filters or {}
    refuse_unknown(filters, ("label", "label!", "until"))
    oldest, labels = parse_until(filters) or time.time_ns(), Labels.parse(filters)
    removed = []
    for network in engine.networks.list():
        used = engine.connections.on(network)
        if (
            network.builtin
            or network.config_only
            or used
            or network.created >= oldest
            or not labels.accept(network.labels)
        ):
            continue
        try:
            network_remove(engine, job, name=network.id)
        except Forbidden:
            # A container was connected just now.
            continue
        removed.append(network.name)
    engine.events.record("network", "prune", "", {"reclaimed": "0"})
    return Pruned(tuple(removed), 0)


def _users(engine: Engine) -> Callable[[Network], str]:
    """Return a function that names the containers on a network."""

    def users(network: Network) -> str:
        names = {container.id: container.name for container in engine.containers.list()}
        return ", ".join(
            f'name:"{names.get(container, container)}" id:"{endpoint.id[:12]}"'
            for container, endpoint in engine.connections.on(network).items()
        )

    return users


def _record(engine: Engine, network: Network, action: str) -> None:
    engine.events.record("network", action, network.id, {"name": network.name, "type": network.driver})
