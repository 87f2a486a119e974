"""The drivers that there are: checked, probed, and chosen by name.

Nothing that a driver does here stops the engine: one that cannot work on this machine is listed with the reason.
"""

from __future__ import annotations

import difflib
import logging
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from transom.drivers import ExecDriver, GraphDriver, LogDriver, NetworkDriver, VolumeDriver
from transom.drivers.base import Driver, DriverSource
from transom.drivers.flaws import find_flaw
from transom.errors import DriverUnavailable, InvalidParameter, NotFound
from transom.plugins import Overdue, Plugin, Plugins, in_time

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["Catalog", "DriverInfo", "Recommendation", "Shelf"]

log = logging.getLogger(__name__)

D = TypeVar("D", bound=Driver)


@dataclass(frozen=True)
class DriverInfo:
    """A driver as `driver ls` shows it; `unavailable` is empty where it works.

    `default` is what is used where none is named, `recommended` what is best on this machine.
    """

    kind: str
    name: str
    distribution: str
    version: str
    module: str
    rank: int
    merit: str = ""
    limits: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    unavailable: str = ""
    default: bool = False
    recommended: bool = False


@dataclass(frozen=True)
class Recommendation:
    """The best driver of a kind on this machine: its name, why one would choose it, and why not a better one.

    `others` are the names of those that rank higher, with the reasons why they cannot work here.
    """

    name: str
    merit: str
    others: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Return it as a sentence without full stop."""
        others = "".join(f"; {name} cannot work here: {reason}" for name, reason in self.others)
        return f"{self.name}{': ' if self.merit else ''}{self.merit}{others}"


@dataclass
class _Entry(Generic[D]):
    """One driver class, where it came from, and what its probe said (None before it was asked)."""

    driver: type[D]
    plugin: Plugin
    unavailable: DriverUnavailable | None = None
    probed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Shelf(Generic[D]):
    """The drivers of one kind, by name. A class is probed once, when it is first needed; what a source has, always."""

    def __init__(self, kind: str, root: Path) -> None:
        self.kind = kind
        self._root = root
        self._entries: dict[str, _Entry[D]] = {}
        self._sources: list[tuple[DriverSource[D], Plugin]] = []

    def add(self, driver: type[D], plugin: Plugin) -> None:
        """Add a driver class. Raises `InvalidParameter`, naming both, if its name is taken."""
        other = self._entries.get(driver.name)
        if other is not None:
            raise InvalidParameter(
                f"two plugins claim the {self.kind} driver {driver.name!r}: {other.plugin} and"
                f" {plugin}; uninstall one of them"
            )
        self._entries[driver.name] = _Entry(driver, plugin)

    def add_source(self, source: DriverSource[D], plugin: Plugin) -> None:
        """Add drivers that come and go. A class that has one of their names goes before them."""
        self._sources.append((source, plugin))

    def names(self) -> list[str]:
        """Return the names of all drivers of the kind, whether they work here or not."""
        return sorted({*self._entries, *(name for source, _ in self._sources for name in self._names_of(source))})

    def root(self, name: str) -> Path:
        """Return the driver's own directory, which lasts."""
        return self._root / name

    def get(self, name: str) -> type[D]:
        """Return the class of a driver that works here. Raises `NotFound` or `DriverUnavailable`."""
        entry = self._find(name)
        if entry is None:
            raise NotFound(f"no {self.kind} driver is named {name!r}; {self.hint(name)}")
        reason = self._probe(entry)
        if reason is not None:
            raise DriverUnavailable(f"the {self.kind} driver {name!r} cannot work here: {reason}")
        return entry.driver

    def hint(self, name: str) -> str:
        """Return what to write instead of a name that no driver has."""
        names = self.names()
        near = difflib.get_close_matches(name, names, n=1)
        return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names) or 'none'}"

    def default(self) -> str:
        """Return the name of the driver of the highest rank that works here. Raises `DriverUnavailable`."""
        return self.recommend().name

    def recommend(self) -> Recommendation:
        """Return the driver of the highest rank that works here, with the reasons. Raises `DriverUnavailable`."""
        ranked = sorted(
            (entry for entry in self._entries.values() if entry.driver.rank >= 0),
            key=lambda entry: entry.driver.rank,
            reverse=True,
        )
        others: list[tuple[str, str]] = []
        for entry in ranked:
            reason = self._probe(entry)
            if reason is None:
                return Recommendation(entry.driver.name, entry.driver.merit, tuple(others))
            others.append((entry.driver.name, str(reason)))
        reasons = "; ".join(f"{name}: {reason}" for name, reason in others)
        raise DriverUnavailable(f"no {self.kind} driver works on this machine", reasons or "none is installed")

    def describe(self, default: str = "") -> list[DriverInfo]:
        """Return all drivers of the kind, with the reason of those that cannot work here."""
        try:
            best = self.recommend().name
        except DriverUnavailable:
            best = ""
        entries = (self._find(name) for name in self.names())
        return [self._describe(entry, default, best) for entry in entries if entry is not None]

    def _names_of(self, source: DriverSource[D]) -> Collection[str]:
        try:
            return source.names()
        except Exception:
            log.exception("the %s drivers of %s cannot be listed", self.kind, type(source).__name__)
            return ()

    def _find(self, name: str) -> _Entry[D] | None:
        entry = self._entries.get(name)
        for source, plugin in self._sources if entry is None else ():
            driver = source.find(name)
            if driver is not None:
                return _Entry(driver, plugin)
        return entry

    def _describe(self, entry: _Entry[D], default: str, best: str) -> DriverInfo:
        reason = self._probe(entry)
        driver = entry.driver
        capabilities = getattr(driver, "capabilities", None)
        return DriverInfo(
            kind=self.kind,
            name=driver.name,
            distribution=entry.plugin.distribution,
            version=entry.plugin.version,
            module=driver.__module__,
            rank=driver.rank,
            merit=driver.merit,
            limits=driver.limits,
            capabilities=tuple(name for name, value in vars(capabilities).items() if value) if capabilities else (),
            unavailable=str(reason) if reason else "",
            default=driver.name == default,
            recommended=driver.name == best,
        )

    def _probe(self, entry: _Entry[D]) -> DriverUnavailable | None:
        with entry.lock:
            if not entry.probed:
                root = self.root(entry.driver.name)
                try:
                    root.mkdir(mode=0o711, parents=True, exist_ok=True)
                    in_time(lambda: entry.driver.probe(root))
                except DriverUnavailable as error:
                    entry.unavailable = error
                except Overdue as error:
                    entry.unavailable = DriverUnavailable(f"its probe failed: {error}", "report it to its author")
                except Exception as error:
                    log.exception("the probe of the %s driver %s failed", self.kind, entry.driver.name)
                    entry.unavailable = DriverUnavailable(
                        f"its probe failed with {type(error).__name__}: {error}", "report it to its author"
                    )
                entry.probed = True
        return entry.unavailable


_CONTRACTS: dict[str, type[Driver]] = {
    contract.kind: contract for contract in (GraphDriver, ExecDriver, VolumeDriver, NetworkDriver, LogDriver)
}


class Catalog(Plugins):
    """All plugins, and the drivers that they give, by kind."""

    def __init__(self, data_root: Path, modules: Sequence[Any] | None = None, engine: Engine | None = None) -> None:
        """Load the plugins as `Plugins` does; each driver has a directory of its own below `data_root`."""
        super().__init__(modules, engine)
        self.graph: Shelf[GraphDriver] = Shelf("graph", data_root / "graph")
        self.exec: Shelf[ExecDriver] = Shelf("exec", data_root / "exec")
        self.volume: Shelf[VolumeDriver] = Shelf("volume", data_root / "volumes")
        self.network: Shelf[NetworkDriver] = Shelf("network", data_root / "networks")
        self.log: Shelf[LogDriver] = Shelf("log", data_root / "logs")
        for shelf in self.shelves():
            for driver, plugin in self.gather(f"transom_{shelf.kind}drivers"):
                if isinstance(driver, DriverSource):
                    shelf.add_source(driver, plugin)
                elif flaw := find_flaw(driver, _CONTRACTS[shelf.kind]):
                    self.fail(plugin, flaw)
                else:
                    shelf.add(driver, plugin)

    def shelves(self) -> tuple[Shelf[Any], ...]:
        """Return the drivers of each kind."""
        return (self.graph, self.exec, self.volume, self.network, self.log)
