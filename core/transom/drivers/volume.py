"""The contract of volume drivers: storage that outlives containers and is shared between them.

It follows Docker's volume plugin protocol, so that a plugin of that kind is one adapter away. The engine records
a volume before `create` and forgets it after `remove`; it calls `mount` once per container that starts with the
volume and `unmount` once when that container has ended, and calls both again without harm after a crash.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from transom.drivers.base import Driver

__all__ = ["Volume", "VolumeDriver"]


@dataclass(frozen=True)
class Volume:
    """A volume as its driver knows it: its name, where its files are (None while not mounted), its details.

    `scope` is `global` for a volume that the driver has on other machines too.
    """

    name: str
    mountpoint: Path | None = None
    status: Mapping[str, Any] = field(default_factory=dict)
    scope: str = "local"


class VolumeDriver(Driver):
    """Keeps volumes below `root`, the driver's own directory, which exists."""

    kind = "volume"

    #: Volumes of this driver are copied up into when new: they start with the image's content at that path.
    copies_image_content: ClassVar[bool] = True

    #: Whether containers can only read its volumes.
    read_only: ClassVar[bool] = False

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def create(self, name: str, options: Mapping[str, str]) -> None:
        """Make a volume; one that exists is left as it is. Nothing is made if this raises.

        Raises `InvalidParameter` for a wrong option.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Delete a volume and its content. Harmless if it does not exist."""

    @abstractmethod
    def mount(self, name: str, container: str) -> Path:
        """Make the volume's content visible on behalf of a container, and return where. Raises `NotFound`."""

    @abstractmethod
    def unmount(self, name: str, container: str) -> None:
        """Say that a container no longer uses the volume. Harmless if it did not."""

    @abstractmethod
    def get(self, name: str) -> Volume:
        """Return one volume. Raises `NotFound`."""

    @abstractmethod
    def list(self) -> list[Volume]:
        """Return all volumes, in the order of their names."""
