"""The jobs that show networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom.filters import Filters
from transom.networks.model import Endpoint
from transom.system import NetworkInfo
from transom_networks.filters import list_test

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["network_inspect", "network_list"]


def network_list(engine: Engine, _job: Job, *, filters: Filters | None = None) -> tuple[NetworkInfo, ...]:
    """Return the networks that pass all filters, sorted by name, without their containers.

    Filters are `name`, `id`, `driver`, `scope`, `type`, `label` and `dangling`. Raises `InvalidParameter`.
    """
    tests = [list_test(engine, name, values) for name, values in (filters or {}).items()]
    return tuple(NetworkInfo(network) for network in engine.networks.list() if all(test(network) for test in tests))


def network_inspect(engine: Engine, _job: Job, *, name: str) -> NetworkInfo:
    """Return a network with the running containers on it. Raises `NotFound`."""
    network = engine.networks.complete(name)
    # Nobody has an endpoint on the networks none and host, and yet containers are on them.
    nowhere = Endpoint("", network.id, network.name)
    return NetworkInfo(
        network,
        tuple(
            (container, container.endpoints.get(network.name, nowhere))
            for container in engine.containers.running()
            if network.name in container.networks
        ),
    )
