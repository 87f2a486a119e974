"""Which networks a new container is on, and whether it can have there what it asks for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from transom.containers.links import parse_link
from transom.containers.model import Container, ContainerConfig, HostConfig, Link
from transom.containers.networking import DONOR
from transom.drivers.network import EndpointSettings, SandboxKind
from transom.errors import InvalidParameter, NotFound
from transom.networks.settings import check_settings

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["choose_links", "choose_networks", "hostname_of", "shares_machines"]

_DEFAULTS = ("", "default")


def choose_networks(
    engine: Engine,
    config: ContainerConfig,
    host: HostConfig,
    asked: Mapping[str, EndpointSettings],
    execdriver: str,
) -> tuple[str, dict[str, EndpointSettings]]:
    """Return the network mode of a container, and what it wants on each of its networks, by their names.

    `asked` is by the names that the client knows the networks by. A default is one that the exec driver can keep; what
    was asked for must be kept. Raises `InvalidParameter` and `NotFound`.
    """
    isolates = "network" in engine.catalog.exec.get(execdriver).namespaces
    mode = host.network
    if mode in _DEFAULTS:
        mode = engine.default_network if isolates else "host"
    if mode.startswith(DONOR):
        return _share(engine, config, mode), {}
    first = engine.networks.get(mode)
    wanted: dict[str, EndpointSettings] = {first.name: EndpointSettings(first.id)}
    check_settings(first, wanted[first.name])
    for name, settings in asked.items():
        network = first if name in (host.network, *_DEFAULTS) else engine.networks.get(name)
        wanted[network.name] = replace(settings, network=network.id)
        check_settings(network, settings)
    for name in wanted:
        kind = engine.networks.kind(engine.networks.get(name).driver).sandbox
        if kind is not SandboxKind.HOST and not isolates:
            raise InvalidParameter(
                f"the exec driver {execdriver} does not isolate the network, so --network {name} cannot be kept: use"
                " --network host or another exec driver"
            )
        if kind is not SandboxKind.PRIVATE and len(wanted) > 1:
            raise InvalidParameter(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes:"
                f" {', '.join(wanted)}"
            )
    return first.name, wanted


def choose_links(engine: Engine, host: HostConfig, mode: str) -> dict[str, Link]:
    """Return the containers that a container with a network mode is linked to, by alias.

    On networks that users made, `host` says nothing about links. Raises `InvalidParameter`.
    """
    if not host.links:
        return {}
    if mode.startswith(DONOR):
        raise _no_links("container type network")
    if shares_machines(engine, mode):
        raise _no_links("host type networking")
    if not engine.networks.get(mode).builtin:
        return {}
    links: dict[str, Link] = {}
    for text in host.links:
        name, alias = parse_link(text)
        target = _find_target(engine, name)
        links.setdefault(alias, Link(target.id, target.name))
    return links


def _find_target(engine: Engine, name: str) -> Container:
    """Return the container that has the network of one that is linked to."""
    try:
        target = engine.containers.get(name)
        while target.network.startswith(DONOR):
            target = engine.containers.get(target.network.removeprefix(DONOR))
    except NotFound as error:
        raise InvalidParameter(f"could not get container for {name}: {error}") from error
    if shares_machines(engine, target.network):
        raise _no_links("host type networking")
    return target


def _no_links(kind: str) -> InvalidParameter:
    return InvalidParameter(
        f"conflicting options: {kind} can't be used with links. This would result in undefined behavior"
    )


def _share(engine: Engine, config: ContainerConfig, mode: str) -> str:
    """Return the mode of a container that has the network of another, by ID."""
    if config.hostname:
        raise InvalidParameter("conflicting options: hostname and the network mode")
    name = mode.removeprefix(DONOR)
    if not name:
        raise InvalidParameter("invalid container format container:<name|id>")
    return DONOR + engine.containers.get(name).id


def hostname_of(engine: Engine, identity: str, mode: str, uts: str) -> str:
    """Return the host name of a container that was given none: its own, or that of whomever it shares with."""
    if mode.startswith(DONOR):
        return engine.containers.get(mode.removeprefix(DONOR)).config.hostname
    return os.uname().nodename if "host" in (mode, uts) else identity[:12]


def shares_machines(engine: Engine, mode: str) -> bool:
    """Return whether a container with a network mode is in the machine's network namespace."""
    return (
        not mode.startswith(DONOR)
        and engine.networks.kind(engine.networks.get(mode).driver).sandbox is SandboxKind.HOST
    )
