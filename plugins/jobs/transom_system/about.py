"""The jobs `version`, `info` and `drivers`."""

from __future__ import annotations

import os
import re
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from transom import __version__
from transom.catalog import DriverInfo, Recommendation
from transom.containers.model import Status
from transom.errors import DriverUnavailable
from transom.graph.model import Platform
from transom.system import SystemInfo, VersionInfo
from transom_system.machine import cgroup_version, memory, operating_system

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["drivers", "info", "version"]


def version(_engine: Engine, _job: Job) -> VersionInfo:
    """Return the version of the engine."""
    here = Platform.here()
    return VersionInfo(__version__, here.os, here.architecture, os.uname().release)


def drivers(engine: Engine, _job: Job) -> tuple[DriverInfo, ...]:
    """Return all drivers of all kinds, and why those do not work that do not."""
    return tuple(engine.drivers())


def info(engine: Engine, _job: Job) -> SystemInfo:
    """Return the state of the engine and of its machine. A part that does not work is a warning in it."""
    containers = engine.containers.list()
    known = engine.drivers()
    warnings: list[str] = []
    recommended = _recommended(engine)
    graphdriver, status = _graphdriver(engine, warnings)
    if recommended is not None:
        status = (*status, ("Recommended Driver", str(recommended)))
    name, os_version = operating_system()
    config = engine.config
    return SystemInfo(
        id=engine_id(config.data_root),
        name=os.uname().nodename,
        version=__version__,
        containers=len(containers),
        running=sum(container.state.status is Status.RUNNING for container in containers),
        paused=sum(container.state.status is Status.PAUSED for container in containers),
        images=len(engine.images.list()),
        graphdriver=graphdriver,
        graphdriver_status=status,
        recommended_graphdriver=recommended,
        execdriver=_execdriver(engine, warnings),
        exec_drivers=_working(known, "exec"),
        volume_drivers=_working(known, "volume"),
        network_drivers=_working(known, "network"),
        log_drivers=_working(known, "log"),
        log_driver=config.log_driver,
        cgroup_version=cgroup_version(),
        kernel=os.uname().release,
        operating_system=name,
        os_version=os_version,
        machine=os.uname().machine,
        processors=os.cpu_count() or 1,
        memory=memory(),
        data_root=str(config.data_root),
        labels=config.labels,
        registry_mirrors=config.registry_mirrors,
        insecure_registries=config.insecure_registries,
        http_proxy=_proxy("http_proxy"),
        https_proxy=_proxy("https_proxy"),
        no_proxy=_setting("no_proxy"),
        descriptors=sum(1 for _ in Path("/proc/self/fd").iterdir()),
        threads=threading.active_count(),
        event_listeners=engine.events.listeners,
        warnings=tuple(warnings),
    )


def engine_id(root: Path) -> str:
    """Return the ID of the engine on a data root; the first call makes it."""
    path = root / "engine-id"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    made = root / f"engine-id.{uuid.uuid4()}"
    made.write_text(f"{uuid.uuid4()}\n")
    try:
        # The first of two callers wins, and a crash leaves no half-written ID.
        os.link(made, path)
    except FileExistsError:
        pass
    finally:
        made.unlink()
    return path.read_text().strip()


def _setting(name: str) -> str:
    """Return a variable of the environment, which may be in capitals."""
    return os.environ.get(name.upper()) or os.environ.get(name, "")


def _proxy(name: str) -> str:
    """Return the address of a proxy, with its name and password made unreadable."""
    return re.sub(r"//[^/@]*@", "//xxxxx:xxxxx@", _setting(name))


def _graphdriver(engine: Engine, warnings: list[str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    try:
        name = engine.graphdriver()
        return name, tuple(engine.layers.driver(name).status())
    except DriverUnavailable as error:
        warnings.append(f"WARNING: {error}")
        return "", ()


def _recommended(engine: Engine) -> Recommendation | None:
    try:
        return engine.catalog.graph.recommend()
    except DriverUnavailable:
        return None


def _execdriver(engine: Engine, warnings: list[str]) -> str:
    try:
        return engine.execdriver()
    except DriverUnavailable as error:
        warnings.append(f"WARNING: {error}")
        return ""


def _working(known: list[DriverInfo], kind: str) -> tuple[str, ...]:
    return tuple(driver.name for driver in known if driver.kind == kind and not driver.unavailable)
