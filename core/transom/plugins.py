"""The plugins that there are: found by their entry points, loaded, and asked for what their hooks give.

Nothing that a plugin does here stops the engine: what cannot be used is listed with the reason.
"""

from __future__ import annotations

import difflib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from transom import hookspecs

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["Overdue", "Plugin", "Plugins", "in_time"]

log = logging.getLogger(__name__)

GROUP = "transom"

#: Seconds that anybody's code may take for what takes milliseconds: to be imported, to give its drivers, to be probed.
PATIENCE = 10.0

T = TypeVar("T")


class Overdue(Exception):
    """Anybody's code has not ended in time."""

    def __str__(self) -> str:
        return f"it has not ended in {PATIENCE:.0f} seconds"


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found: its entry point's name, module, distribution, and what of it cannot be used, and why."""

    name: str
    module: str
    distribution: str
    version: str
    error: str = ""

    def __str__(self) -> str:
        """Return what tells it from all others."""
        if not self.distribution:
            return self.module
        return f"{self.name} ({self.module} of {self.distribution} {self.version})"


class Plugins:
    """All plugins, and what their hooks give."""

    def __init__(self, modules: Sequence[Any] | None = None, engine: Engine | None = None) -> None:
        """Load the plugins that are installed, or just `modules`, if tests want to choose.

        Without an engine the hooks that want one are not called.
        """
        self._engine = engine
        self.manager = pluggy.PluginManager("transom")
        self.manager.add_hookspecs(hookspecs)
        #: Those of which something can be used, by the name that the manager has for them, and the others.
        self._plugins: dict[str, Plugin] = {}
        self._broken: list[Plugin] = []
        if modules is None:
            for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
                self._load(point)
        else:
            for module in modules:
                self._register(module, Plugin(module.__name__, module.__name__, "", ""))

    @property
    def plugins(self) -> list[Plugin]:
        """All plugins, in the order of their names."""
        return sorted([*self._plugins.values(), *self._broken], key=lambda plugin: plugin.name)

    def gather(self, hook: str) -> Iterable[tuple[Any, Plugin]]:
        """Yield what each plugin gives for a hook whose result is an iterable, and the plugin.

        A plugin whose hook raises, or gives something else, is listed with the reason and gives nothing.
        """
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            wanted = implementation.argnames  # at most the engine
            if wanted and self._engine is None:
                continue
            plugin = self._plugins[implementation.plugin_name]
            arguments = [self._engine for _ in wanted]
            for result in self._results(implementation.function, arguments, hook, plugin):
                yield result, plugin

    def fail(self, plugin: Plugin, reason: str) -> None:
        """List a plugin as one of which something cannot be used."""
        log.warning("plugin %s: %s", plugin, reason)
        known = self._plugins[str(plugin)]
        self._plugins[str(plugin)] = replace(known, error=f"{known.error}; {reason}" if known.error else reason)

    def _results(self, function: Callable[..., Any], arguments: Sequence[Any], hook: str, plugin: Plugin) -> list[Any]:
        try:
            given = in_time(lambda: function(*arguments))
        except (Exception, SystemExit) as error:  # noqa: BLE001 a plugin of anybody's must not stop the engine
            self.fail(plugin, f"its hook {hook} failed with {type(error).__name__}: {error}")
            return []
        try:
            return list(given)
        except TypeError:
            self.fail(plugin, f"its hook {hook} gives {given!r}, which is no list")
            return []

    def _load(self, point: EntryPoint) -> None:
        distribution = point.dist
        plugin = Plugin(
            point.name,
            point.module,
            distribution.name if distribution else "",
            distribution.version if distribution else "",
        )
        try:
            module = in_time(point.load)
        except (Exception, SystemExit) as error:  # noqa: BLE001 a plugin of anybody's must not stop the engine
            self._add_broken(plugin, f"cannot be imported: {type(error).__name__}: {error}")
        else:
            self._register(module, plugin)

    def _add_broken(self, plugin: Plugin, reason: str) -> None:
        log.warning("plugin %s: %s", plugin, reason)
        self._broken.append(replace(plugin, error=reason))

    def _register(self, module: Any, plugin: Plugin) -> None:
        if (other := self.manager.get_name(module)) is not None:
            self._add_broken(plugin, f"it is the plugin {other} once more")
            return
        try:
            self.manager.register(module, name=str(plugin))
        except (ValueError, pluggy.PluginValidationError) as error:
            if self.manager.has_plugin(str(plugin)):
                self.manager.unregister(name=str(plugin))
            self._add_broken(plugin, f"cannot be registered: {error}")
            return
        self._plugins[str(plugin)] = plugin
        callers = self.manager.get_hookcallers(module) or []
        for name in sorted(caller.name for caller in callers if not caller.has_spec()):
            near = difflib.get_close_matches(name, vars(hookspecs), n=1)
            self.fail(plugin, f"there is no hook {name}{f'; did you mean {near[0]}?' if near else ''}")
        if not callers:
            self.fail(plugin, "it gives no hook: mark its functions with transom.hookimpl")


def in_time(work: Callable[[], T]) -> T:
    """Do what anybody's code is to do in milliseconds, and return its result.

    Raises what it raises, and `Overdue` if it has not ended when `PATIENCE` is over. It is left alone then, in a thread
    of its own.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 raised where it is waited for
            outcome.set_exception(error)

    thread = threading.Thread(target=run, name="transom-plugin", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not outcome.done():
        raise Overdue
    return outcome.result()
