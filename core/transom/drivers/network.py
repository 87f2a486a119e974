"""The contract of network drivers: they make networks, and connect containers' sandboxes to them.

A *network* is a value that the engine keeps: its subnets, its options (`transom.networks.model`). A *sandbox* is a
network namespace, an *endpoint* a container's place on one network.

The life of a network. `create` makes what carries it, a bridge say. It is called when a user makes the network, and
by each engine that finds it recorded, so it leaves what is there as it is. `connect` brings an interface into a
sandbox; the engine has given the endpoint its addresses (`addressing` CORE), and sets them on the interface
afterwards, with the default route. `disconnect` undoes it, also when the sandbox is gone and its interfaces with it,
and after a crash in the middle of `connect`. `remove` takes away what `create` made.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from transom.drivers.base import Driver
from transom.networks.model import Endpoint, EndpointSettings, Network, Pool, Sandbox, SandboxKind

if TYPE_CHECKING:
    from transom.networks.firewall import Firewall

__all__ = [
    "Addressing",
    "Endpoint",
    "EndpointSettings",
    "Network",
    "NetworkDriver",
    "Pool",
    "Sandbox",
    "SandboxKind",
]


class Addressing(enum.Enum):
    """Who gives the addresses on a driver's networks, and sets them on the interfaces."""

    #: Nobody: there are none.
    NONE = "none"
    #: The engine, from the network's subnets.
    CORE = "core"
    #: The driver, in `connect`.
    DRIVER = "driver"


class NetworkDriver(Driver):
    """Makes networks and connects sandboxes to them. `create`, `remove`, `connect` and `disconnect` must be written.

    `root` is the driver's own directory, which lasts and which it makes when it needs it; `firewall` the engine's table
    of rules. Different containers may be connected to one network at the same time; nothing else overlaps.
    """

    kind = "network"

    #: The network namespace that containers on this driver's networks get.
    sandbox: ClassVar[SandboxKind] = SandboxKind.PRIVATE
    addressing: ClassVar[Addressing] = Addressing.CORE
    #: Whether it has one network only, which carries the driver's name and is always there.
    single: ClassVar[bool] = False
    #: Whether the engine can publish containers' ports from its networks.
    publishes_ports: ClassVar[bool] = False
    #: Whether the containers on one of its networks know each other by name.
    resolves_names: ClassVar[bool] = False
    #: Whether the driver publishes ports itself, in `connect`: those of the endpoint's `ports`, which the engine took.
    maps_ports: ClassVar[bool] = False
    #: Whether `disconnect` needs the sandbox, which stays until then; otherwise it may go first, with its interfaces.
    needs_sandbox: ClassVar[bool] = False

    def __init__(self, root: Path, firewall: Firewall) -> None:
        self.root = root
        self.firewall = firewall

    def check(self, network: Network) -> None:
        """Raise `InvalidParameter` for an option or a subnet that the driver cannot use. Makes nothing."""

    @abstractmethod
    def create(self, network: Network) -> None:
        """Make a network; what is there of it is left as it is. Nothing is left if this raises."""

    @abstractmethod
    def remove(self, network: Network) -> None:
        """Take a network away. Harmless if it does not exist."""

    @abstractmethod
    def connect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> Endpoint:
        """Bring the interface `endpoint.interface` into a sandbox; return the endpoint with what the driver chose."""

    @abstractmethod
    def disconnect(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> None:
        """Undo `connect`, however much of it was done. `sandbox.path` is empty where the namespace has gone."""

    def verify(self, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> None:
        """Raise `Unavailable` if an endpoint is not what `connect` made of it: another engine takes it over."""

    def recover(self, is_connected: Callable[[str], bool]) -> None:
        """Undo connections of endpoints, by ID, that are not connected: an engine was killed, or the machine stopped.

        Only a driver whose connections leave something where the engine does not look needs this. Others are connected
        at the same time: an endpoint that the driver knows is asked for after that.
        """

    def close(self) -> None:
        """Finish what is under way: the engine ends."""

    def interface_of(self, network: Network) -> str:
        """Return the machine's interface that carries a network, empty if there is none."""
        del network
        return ""
