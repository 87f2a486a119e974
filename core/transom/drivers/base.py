"""What the five contracts share: a name, and an honest answer to "does it work here?"."""

from __future__ import annotations

from abc import ABC
from pathlib import Path
from typing import ClassVar

__all__ = ["Driver"]


class Driver(ABC):
    """Something that does the work of one kind, chosen by its name."""

    #: The name by which users choose it: lower-case letters, digits and hyphens.
    name: ClassVar[str]

    #: Of the drivers that work here, the one with the highest rank is the default. A rank below zero means
    #: that it must be asked for by name.
    rank: ClassVar[int] = -1

    #: What it does not do, in sentences for `driver ls` and `driver inspect`.
    limits: ClassVar[tuple[str, ...]] = ()

    #: Modules besides its own that it imports in a shim (exec and log drivers). For the default drivers they are
    #: imported once, in the spawner.
    shim_modules: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def probe(cls, root: Path) -> None:
        """Return if the driver can work on this machine with its files below `root`.

        Raises `transom.errors.DriverUnavailable` with the reason and the remedy. It is called before every
        other method, must leave nothing behind, and takes milliseconds.
        """
