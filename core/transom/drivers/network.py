"""The contract of network drivers: they connect a container's sandbox to a network.

A *sandbox* is a network namespace with a container's interfaces; an *endpoint* is the container's place on one
network (libnetwork's terms).
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from transom.drivers.base import Driver

__all__ = ["Endpoint", "NetworkDriver", "Sandbox", "SandboxKind"]


class SandboxKind(enum.Enum):
    """Which network namespace a container on the network runs in."""

    #: One of its own, with a loopback interface that is up.
    PRIVATE = "private"
    #: The machine's.
    HOST = "host"


@dataclass(frozen=True)
class Sandbox:
    """A container's network namespace: the container's ID, and the namespace's path where it has one."""

    container: str
    path: str | None = None


@dataclass(frozen=True)
class Endpoint:
    """A container's place on one network: addresses with prefix length, empty where it has none."""

    network: str
    address: str = ""
    address6: str = ""
    gateway: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = field(default=())


class NetworkDriver(Driver):
    """Makes networks and connects sandboxes to them. `root` is the driver's own directory, which lasts."""

    #: The network namespace that containers on this driver's networks get.
    sandbox: ClassVar[SandboxKind] = SandboxKind.PRIVATE

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def create(self, network: str, options: Mapping[str, str]) -> None:
        """Make a network; one that exists is left as it is. Raises `InvalidParameter` for a wrong option."""

    @abstractmethod
    def remove(self, network: str) -> None:
        """Take a network away. Harmless if it does not exist."""

    @abstractmethod
    def connect(self, sandbox: Sandbox, endpoint: Endpoint) -> Endpoint:
        """Connect a container and return its endpoint, with what the driver chose filled in."""

    @abstractmethod
    def disconnect(self, sandbox: Sandbox, endpoint: Endpoint) -> None:
        """Undo `connect`. Harmless if the container is not connected."""
