"""The plugins and drivers that there are: found, checked, and chosen by name.

Nothing that a plugin does here stops the engine: what cannot be imported or cannot work on this machine is listed
with the reason.
"""

from __future__ import annotations

import difflib
import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pluggy

from transom import hookspecs
from transom.drivers import ExecDriver, GraphDriver, LogDriver, NetworkDriver, VolumeDriver
from transom.drivers.base import Driver, DriverSource
from transom.errors import DriverUnavailable, InvalidParameter, NotFound

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["Catalog", "DriverInfo", "Plugin", "Plugins", "Recommendation", "Shelf"]

log = logging.getLogger(__name__)

GROUP = "transom"

D = TypeVar("D", bound=Driver)


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found: its entry point's name, module, distribution, and why it was not loaded."""

    name: str
    module: str
    distribution: str
    version: str
    error: str = ""


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
                f"two plugins claim the {self.kind} driver {driver.name!r}: {_origin(other.plugin)} and"
                f" {_origin(plugin)}; uninstall one of them"
            )
        self._entries[driver.name] = _Entry(driver, plugin)

    def add_source(self, source: DriverSource[D], plugin: Plugin) -> None:
        """Add drivers that come and go. A class that has one of their names goes before them."""
        self._sources.append((source, plugin))

    def names(self) -> list[str]:
        """Return the names of all drivers of the kind, whether they work here or not."""
        return sorted({*self._entries, *(name for source, _ in self._sources for name in source.names())})

    def root(self, name: str) -> Path:
        """Return the driver's own directory, which lasts."""
        return self._root / name

    def get(self, name: str) -> type[D]:
        """Return the class of a driver that works here. Raises `NotFound` or `DriverUnavailable`."""
        entry = self._find(name)
        if entry is None:
            names = self.names()
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names) or 'none'}"
            raise NotFound(f"no {self.kind} driver is named {name!r}; {hint}")
        reason = self._probe(entry)
        if reason is not None:
            raise DriverUnavailable(f"the {self.kind} driver {name!r} cannot work here: {reason}")
        return entry.driver

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
                    entry.driver.probe(root)
                except DriverUnavailable as error:
                    entry.unavailable = error
                except Exception as error:
                    log.exception("the probe of the %s driver %s failed", self.kind, entry.driver.name)
                    entry.unavailable = DriverUnavailable(
                        f"its probe failed with {type(error).__name__}: {error}", "report it to its author"
                    )
                entry.probed = True
        return entry.unavailable


class Plugins:
    """All plugins, and what their hooks give."""

    def __init__(self, modules: Sequence[Any] | None = None, engine: Engine | None = None) -> None:
        """Load the plugins that are installed, or just `modules`, if tests want to choose.

        Without an engine the hooks that want one are not called.
        """
        self._engine = engine
        self.manager = pluggy.PluginManager("transom")
        self.manager.add_hookspecs(hookspecs)
        self.plugins: list[Plugin] = []
        if modules is None:
            for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
                self._load(point)
        else:
            for module in modules:
                self._register(module, Plugin(module.__name__, module.__name__, "", ""))

    def gather(self, hook: str) -> Iterable[tuple[Any, Plugin]]:
        """Yield what each plugin gives for a hook whose result is an iterable, and the plugin.

        A plugin whose hook raises is listed with the reason and gives nothing.
        """
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            plugin = next(plugin for plugin in self.plugins if plugin.name == implementation.plugin_name)
            wanted = implementation.argnames  # at most the engine
            if wanted and self._engine is None:
                continue
            try:
                results = list(implementation.function(*(self._engine for _ in wanted)))
            except Exception as error:  # noqa: BLE001 a plugin of anybody's must not stop the engine
                self._failed(plugin, f"its hook {hook} failed with {type(error).__name__}: {error}")
                continue
            for result in results:
                yield result, plugin

    def _load(self, point: EntryPoint) -> None:
        distribution = point.dist
        plugin = Plugin(
            point.name,
            point.module,
            distribution.name if distribution else "",
            distribution.version if distribution else "",
        )
        try:
            module = point.load()
        except Exception as error:  # noqa: BLE001 a plugin of anybody's must not stop the engine
            self.plugins.append(plugin)
            self._failed(plugin, f"cannot be imported: {type(error).__name__}: {error}")
            return
        self._register(module, plugin)

    def _register(self, module: Any, plugin: Plugin) -> None:
        self.plugins.append(plugin)
        try:
            self.manager.register(module, name=plugin.name)
        except (ValueError, pluggy.PluginValidationError) as error:
            if self.manager.has_plugin(plugin.name):
                self.manager.unregister(name=plugin.name)
            self._failed(plugin, f"cannot be registered: {error}")

    def _failed(self, plugin: Plugin, reason: str) -> None:
        log.warning("plugin %s: %s", _origin(plugin), reason)
        self.plugins = [
            Plugin(item.name, item.module, item.distribution, item.version, reason)
            if item.name == plugin.name
            else item
            for item in self.plugins
        ]


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
                else:
                    shelf.add(driver, plugin)

    def shelves(self) -> tuple[Shelf[Any], ...]:
        """Return the drivers of each kind."""
        return (self.graph, self.exec, self.volume, self.network, self.log)


def _origin(plugin: Plugin) -> str:
    where = f" of {plugin.distribution} {plugin.version}" if plugin.distribution else ""
    return f"{plugin.name} ({plugin.module}{where})"
