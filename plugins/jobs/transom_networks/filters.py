"""The filters of network lists. Several values of one filter are alternatives, but labels add up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from transom.errors import InvalidParameter
from transom.filters import Labels, parse_truth
from transom.networks.model import Network
from transom.patterns import name_pattern

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["list_test"]

Test = Callable[[Network], bool]

_SCOPES = ("local", "global", "swarm")
_TYPES = ("builtin", "custom")


def list_test(engine: Engine, name: str, values: tuple[str, ...]) -> Test:
    """Return what a filter of `network ls` asks of a network. Raises `InvalidParameter`."""
    match name:
        case "name" | "id":
            patterns = [name_pattern(name, value) for value in values]
            return lambda network: any(pattern.search(getattr(network, name)) for pattern in patterns)
        case "driver":
            return lambda network: network.driver in values or (network.driver == "none" and "null" in values)
        case "scope":
            _check_values(name, values, _SCOPES)
            return lambda _: "local" in values
        case "type":
            _check_values(name, values, _TYPES)
            return lambda network: ("builtin" if network.builtin else "custom") in values
        case "dangling":
            wanted = parse_truth({name: values}, name)
            return lambda network: not network.builtin and (not engine.connections.on(network)) is wanted
        case "label":
            return lambda network: Labels(values).accept(network.labels)
    raise InvalidParameter(f"invalid filter '{name}'")


def _check_values(name: str, values: tuple[str, ...], known: tuple[str, ...]) -> None:
    for value in values:
        if value not in known:
            raise InvalidParameter(f"invalid filter '{name}={value}'")
