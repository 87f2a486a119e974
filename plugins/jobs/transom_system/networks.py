"""The jobs `network_list` and `network_inspect`: each network driver gives one network, which is always there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom.errors import InvalidParameter, NotFound
from transom.filters import Filters, parse_until, refuse_unknown
from transom.patterns import name_pattern
from transom.system import NetworkInfo, Pruned

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["network_inspect", "network_list", "network_prune"]


def network_list(engine: Engine, _job: Job, *, filters: Filters | None = None) -> tuple[NetworkInfo, ...]:
    """Return the networks that pass the filters `name`, `driver`, `scope` and `type`. Raises `InvalidParameter`."""
    found = _networks(engine)
    for name, values in (filters or {}).items():
        found = [network for network in found if _passes(network, name, values)]
    return tuple(found)


def network_inspect(engine: Engine, _job: Job, *, name: str) -> NetworkInfo:
    """Return a network. Raises `NotFound`."""
    for network in _networks(engine):
        if network.name == name:
            return network
    raise NotFound(f"network {name} not found")


def network_prune(engine: Engine, _job: Job, *, filters: Filters | None = None) -> Pruned:
    """Remove the networks that users made and no container uses: there are none, since all are their drivers' own.

    The filters are `until`, `label` and `label!`. Raises `InvalidParameter` for others and for wrong values.
    """
    filters = filters or {}
    refuse_unknown(filters, ("label", "label!", "until"))
    parse_until(filters)
    engine.events.record("network", "prune", "", {"reclaimed": "0"})
    return Pruned((), 0)


def _networks(engine: Engine) -> list[NetworkInfo]:
    running = engine.containers.running()
    return [
        NetworkInfo(
            driver.name,
            driver.name,
            engine.started,
            tuple(container for container in running if container.network == driver.name),
        )
        for driver in engine.catalog.network.describe()
        if not driver.unavailable
    ]


def _passes(network: NetworkInfo, name: str, values: tuple[str, ...]) -> bool:
    match name:
        case "name":
            return any(name_pattern(name, value).search(network.name) for value in values)
        case "driver":
            shown = "null" if network.driver == "none" else network.driver
            return shown in values or network.driver in values
        case "scope":
            return "local" in values
        case "type":
            return "builtin" in values
    raise InvalidParameter(f"invalid filter '{name}'")
