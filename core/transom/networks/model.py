"""What a network is, what a container asks for on one, and what it got there (libnetwork's terms).

A *sandbox* is a network namespace with a container's interfaces; an *endpoint* is the container's place on one network.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from transom.errors import InvalidParameter
from transom.networks.ports import PublishedPort

__all__ = ["Endpoint", "EndpointSettings", "Network", "Pool", "Sandbox", "SandboxKind", "option_boolean"]

_TRUTHS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


class SandboxKind(enum.Enum):
    """Which network namespace a container on the network runs in."""

    #: One of its own, with a loopback interface that is up and nothing else.
    ISOLATED = "isolated"
    #: One of its own, which is made before the container's process, and into which networks are connected.
    PRIVATE = "private"
    #: The machine's.
    HOST = "host"


@dataclass(frozen=True)
class Pool:
    """A subnet of a network. `ip_range` is the part of it that containers get addresses from, the whole where empty.

    `reserved` are addresses that containers do not get, by the name of whatever has them (`--aux-address`).
    `chosen` says that the engine chose the subnet, so that no container may ask for an address in it.
    """

    subnet: str
    ip_range: str = ""
    gateway: str = ""
    reserved: Mapping[str, str] = field(default_factory=dict)
    chosen: bool = False


@dataclass(frozen=True)
class Network:
    """One network. `created` is in nanoseconds; `builtin` ones are always there.

    `ready` is false while it is being made or removed; such a network is shown to nobody.
    """

    id: str
    name: str
    driver: str
    created: int = 0
    pools: tuple[Pool, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] = field(default_factory=dict)
    internal: bool = False
    attachable: bool = False
    ipv4: bool = True
    ipv6: bool = False
    builtin: bool = False
    ready: bool = False
    #: It is only a configuration that others are made of, by name; it carries no container.
    config_only: bool = False
    #: The configuration that it was made of.
    config_from: str = ""


@dataclass(frozen=True)
class EndpointSettings:
    """What a container asks for on one network; empty where it takes what it gets.

    `network` is the network's ID, by which it is known when another one has got its name. `link_local` are more
    addresses, that mean something on the network alone. `links` are `container:alias`. Of several networks the one with
    the highest `gateway_priority` gives the default route.
    """

    network: str = ""
    aliases: tuple[str, ...] = ()
    address: str = ""
    address6: str = ""
    mac: str = ""
    link_local: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    driver_options: Mapping[str, str] = field(default_factory=dict)
    gateway_priority: int = 0


@dataclass(frozen=True)
class Endpoint:
    """A container's place on one network: addresses with their prefix length, empty where it has none.

    `interface` is the interface's name in the sandbox. `names` are those that the network's other containers know the
    container by.
    """

    id: str
    network: str
    network_name: str
    interface: str = ""
    address: str = ""
    address6: str = ""
    gateway: str = ""
    gateway6: str = ""
    mac: str = ""
    names: tuple[str, ...] = ()
    driver_options: Mapping[str, str] = field(default_factory=dict)
    gateway_priority: int = 0
    #: More addresses, with prefix lengths, that mean something on the network alone.
    link_local: tuple[str, ...] = ()
    #: The ports that its driver publishes.
    ports: tuple[PublishedPort, ...] = ()

    @property
    def bare_address(self) -> str:
        """The IPv4 address without its prefix length."""
        return self.address.partition("/")[0]

    @property
    def bare_address6(self) -> str:
        """The IPv6 address without its prefix length."""
        return self.address6.partition("/")[0]


@dataclass(frozen=True)
class Sandbox:
    """A container's network namespace: the container's ID and the namespace's path, empty once it is gone."""

    container: str
    path: str = ""


def option_boolean(options: Mapping[str, str], name: str, default: bool) -> bool:
    """Return a boolean option of a driver. Raises `InvalidParameter`."""
    value = options.get(name, "").lower()
    if not value:
        return default
    if value not in _TRUTHS:
        raise InvalidParameter(f"invalid value {options[name]!r} for the option {name}: it should be true or false")
    return _TRUTHS[value]
