"""What the engine says about itself as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from transom.builds import CacheRecord
from transom.catalog import Recommendation
from transom.containers.model import Container
from transom.events import Event, Subscription
from transom.graph.images import ImageSummary
from transom.networks.model import Endpoint, Network
from transom.volumes import VolumeUsage

__all__ = ["ContainerUsage", "DiskUsage", "EventWatch", "NetworkInfo", "Pruned", "SystemInfo", "VersionInfo"]


@dataclass(frozen=True)
class VersionInfo:
    """The version of the engine and of the kernel, and what they run on, in Go's names (`linux`, `amd64`)."""

    version: str
    os: str
    architecture: str
    kernel: str


@dataclass(frozen=True)
class SystemInfo:
    """The state of the engine and of its machine.

    `id` is the engine's own and lasts as long as its data root. `memory` is in bytes. The names of drivers are those
    that work here; `graphdriver` and `execdriver` are the defaults, empty if none works. The proxies' addresses are
    without passwords. `warnings` are sentences for the user.
    """

    id: str
    name: str
    version: str
    containers: int
    running: int
    paused: int
    images: int
    graphdriver: str
    graphdriver_status: tuple[tuple[str, str], ...]
    recommended_graphdriver: Recommendation | None
    execdriver: str
    exec_drivers: tuple[str, ...]
    volume_drivers: tuple[str, ...]
    network_drivers: tuple[str, ...]
    log_drivers: tuple[str, ...]
    log_driver: str
    cgroup_version: str
    kernel: str
    operating_system: str
    os_version: str
    machine: str
    processors: int
    memory: int
    data_root: str
    labels: tuple[str, ...]
    registry_mirrors: tuple[str, ...]
    insecure_registries: tuple[str, ...]
    http_proxy: str
    https_proxy: str
    no_proxy: str
    descriptors: int
    threads: int
    event_listeners: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class EventWatch:
    """Kept events that a watcher missed, and its subscription to those that follow; None if nothing can follow."""

    past: tuple[Event, ...]
    subscription: Subscription | None


@dataclass(frozen=True)
class NetworkInfo:
    """A network, and the running containers on it with their places there."""

    network: Network
    containers: tuple[tuple[Container, Endpoint], ...] = ()


@dataclass(frozen=True)
class Pruned:
    """What a prune removed, by ID or name, and how many bytes of disk that made free."""

    removed: tuple[str, ...]
    reclaimed: int


@dataclass(frozen=True)
class ContainerUsage:
    """A container, the bytes of its own layer, and those of its whole file system."""

    container: Container
    own: int
    whole: int


@dataclass(frozen=True)
class DiskUsage:
    """What occupies the data root; None is what was not asked for. `layers` are the bytes of all unpacked layers."""

    layers: int = 0
    images: tuple[ImageSummary, ...] | None = None
    containers: tuple[ContainerUsage, ...] | None = None
    volumes: tuple[VolumeUsage, ...] | None = None
    builds: tuple[CacheRecord, ...] | None = None
