"""Every hook of Transom. A plugin implements the ones that it needs and leaves the others out.

A plugin is a module that an installed distribution names in the entry-point group `transom`:

    [project.entry-points.transom]
    zfs = "transom_zfs"

and a hook is a function in it with the name of the specification below, marked with `transom.hookimpl`, that takes
all or some of the arguments:

    from transom import hookimpl

    @hookimpl
    def transom_graphdrivers():
        from transom_zfs.driver import ZfsDriver
        return [ZfsDriver]

Plugins are loaded once, at the start of an engine. Import what is heavy inside the hooks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from transom.drivers import ExecDriver, GraphDriver, LogDriver, NetworkDriver, VolumeDriver
    from transom.drivers.base import DriverSource
    from transom.engine import Engine
    from transom.events import Event
    from transom.job import Handler, HandlerName, Job

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("transom")
hookimpl = pluggy.HookimplMarker("transom")


# Jobs: what the engine can be asked to do


@hookspec
def transom_jobs() -> Mapping[str, Handler | HandlerName]:  # type: ignore[empty-body]
    """Give job handlers by job name, each as a function or as its place, `module:function`, which is imported when the
    job is first asked for. Called once, when the engine starts.

    A handler is called as `handler(engine, job, **parameters)` in a thread of the engine's pool; what it returns is
    the job's result. Two plugins that claim one name are an error at the start, which names both.
    """


@hookspec(firstresult=True)
def transom_call_job(engine: Engine, job: Job) -> Any:
    """Run a job. The first result that is not None wins; the engine's own, called last, calls the handler.

    A wrapper (`@hookimpl(wrapper=True)`) around it sees every job: it can audit, time, deny (by raising) or change it.
    """


# Drivers: who does the work. A hook gives classes, and a `transom.drivers.base.DriverSource` for what comes and goes.
# `engine` is being opened when these are called: its configuration is there, all else when a driver works.


@hookspec
def transom_graphdrivers(engine: Engine) -> Iterable[type[GraphDriver] | DriverSource[GraphDriver]]:  # type: ignore[empty-body]
    """Give graph driver classes (`transom.drivers.graph`). Called once, when the engine starts."""


@hookspec
def transom_execdrivers(engine: Engine) -> Iterable[type[ExecDriver] | DriverSource[ExecDriver]]:  # type: ignore[empty-body]
    """Give exec driver classes (`transom.drivers.exec`). Called once, when the engine starts.

    They run in shims, which import them by module and qualified name: a class must be found under its name in
    its module.
    """


@hookspec
def transom_volumedrivers(engine: Engine) -> Iterable[type[VolumeDriver] | DriverSource[VolumeDriver]]:  # type: ignore[empty-body]
    """Give volume driver classes (`transom.drivers.volume`). Called once, when the engine starts."""


@hookspec
def transom_networkdrivers(engine: Engine) -> Iterable[type[NetworkDriver] | DriverSource[NetworkDriver]]:  # type: ignore[empty-body]
    """Give network driver classes (`transom.drivers.network`). Called once, when the engine starts."""


@hookspec
def transom_logdrivers(engine: Engine) -> Iterable[type[LogDriver] | DriverSource[LogDriver]]:  # type: ignore[empty-body]
    """Give log driver classes (`transom.drivers.log`). Called once, when the engine starts.

    Like exec drivers they run in shims and must be found under their name in their module.
    """


# Events: what happened


@hookspec
def transom_event(event: Event) -> None:
    """Be told of an event after it is recorded, in the thread that recorded it: be quick.

    An exception is logged and stops neither the engine nor the other plugins.
    """


# Frontends: how the engine is reached


@hookspec
def transom_serve(engine: Engine) -> None:
    """Serve clients until `engine.stopping` is set. Called by the daemon in a thread per frontend."""


@hookspec
def transom_routes() -> Iterable[Any]:  # type: ignore[empty-body]
    """Give more routes for the API: `aiohttp.web.RouteDef` objects, whose handlers find the engine in
    `request.app["engine"]`. Called once, when the API starts."""


@hookspec
def transom_commands() -> Iterable[Any]:  # type: ignore[empty-body]
    """Give more commands for the command line: `click.Command` objects. Called when a command is not built in,
    and for `--help`. One whose name is `driver check` is the command `check` of the group `driver`."""
