"""What the five contracts share: a name, and an honest answer to "does it work here?"; and drivers that come and go."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

__all__ = ["Driver", "DriverSource"]


class Driver(ABC):
    """Something that does the work of one kind, chosen by its name."""

    #: What it does the work of: `graph`, `exec`, `volume`, `network` or `log`. Its contract's class says so.
    kind: ClassVar[str]

    #: The name by which users choose it: lower-case letters, digits and hyphens.
    name: ClassVar[str]

    #: Of the drivers that work here, the one with the highest rank is the default. A rank below zero means
    #: that it must be asked for by name.
    rank: ClassVar[int] = -1

    #: Why somebody would choose it, in one sentence without capital and full stop.
    merit: ClassVar[str] = ""

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


D_co = TypeVar("D_co", bound=Driver, covariant=True)


class DriverSource(ABC, Generic[D_co]):
    """Drivers whose names come and go while the engine runs, as those of other processes do.

    A hook for drivers gives it beside, or instead of, classes. It is asked whenever somebody lists drivers or names one
    that no class has, from many threads. Names have the characters of `[a-zA-Z0-9_.-]`.
    """

    @abstractmethod
    def names(self) -> Collection[str]:
        """Return the names that there are now."""

    @abstractmethod
    def find(self, name: str) -> type[D_co] | None:
        """Return the driver of a name, the same class as long as it is the same driver; None if there is none.

        Its `probe` is called each time that the driver is looked at.
        """
