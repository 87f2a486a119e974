"""What an image is (OCI image specification, config.md)."""

from __future__ import annotations

import platform as machine
from collections.abc import Mapping
from dataclasses import dataclass, field

from transom.graph.digest import Digest, chain_ids

__all__ = ["Healthcheck", "History", "Image", "Platform", "RunConfig"]

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(frozen=True)
class Platform:
    """An operating system and a processor architecture, in Go's names (`linux`, `amd64`)."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def here(cls) -> Platform:
        """Return the platform of this machine."""
        uname = machine.machine()
        architecture = _ARCHITECTURES.get(uname, uname)
        return cls("linux", architecture, {"arm64": "v8", "arm": "v7"}.get(architecture, ""))

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True)
class Healthcheck:
    """How to find out whether a container works. Durations are in nanoseconds; 0 means inherited."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    retries: int = 0
    start_period: int = 0
    start_interval: int = 0


@dataclass(frozen=True)
class RunConfig:
    """What runs in a container, and how: an image's defaults, or a container's own choice on top of them.

    `entrypoint` and `cmd` are None where nothing is said, and empty where nothing is wanted.
    """

    user: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    shell: tuple[str, ...] | None = None
    on_build: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None


@dataclass(frozen=True)
class History:
    """One step in the making of an image; `created` is an RFC 3339 time."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


@dataclass(frozen=True)
class Image:
    """An image: its ID is the digest of its configuration, `created` an RFC 3339 time or empty.

    `manifest` is the digest of the manifest that it was pulled with. `blobs` are the digests of its layers as the
    registry has them, in the order of `diff_ids`; `sizes` the bytes of each layer's files and links, unpacked.
    """

    id: Digest
    platform: Platform
    config: RunConfig = field(default_factory=RunConfig)
    diff_ids: tuple[Digest, ...] = ()
    created: str = ""
    author: str = ""
    comment: str = ""
    docker_version: str = ""
    #: The ID of the container that it was made of, empty where it was made otherwise.
    container: str = ""
    history: tuple[History, ...] = ()
    manifest: Digest | None = None
    blobs: tuple[Digest, ...] = ()
    sizes: tuple[int, ...] = ()

    @property
    def chain_ids(self) -> tuple[Digest, ...]:
        """The chain IDs of its layers, lowest first."""
        return chain_ids(self.diff_ids)

    @property
    def size(self) -> int:
        """The bytes of all its layers, unpacked."""
        return sum(self.sizes)
