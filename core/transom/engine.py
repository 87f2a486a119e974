"""The engine: it loads the plugins, opens the stores, and runs jobs. It owns everything; nothing is global."""

from __future__ import annotations

import fcntl
import inspect
import logging
import os
import pkgutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from transom.catalog import Catalog, DriverInfo
from transom.config import Config
from transom.containers.rooms import Rooms
from transom.containers.store import ContainerStore
from transom.containers.supervisor import Supervisor
from transom.drivers.blame import describe, find_driver
from transom.errors import Conflict, DriverFailed, InvalidParameter, NotFound, TransomError, Unavailable
from transom.events import Event, Events
from transom.graph.build_cache import BuildCache
from transom.graph.content import ContentStore
from transom.graph.db import GraphDB
from transom.graph.images import ImageStore
from transom.graph.layers import LayerStore
from transom.graph.locks import Locks
from transom.hookspecs import hookimpl
from transom.job import Handler, HandlerName, Job, Message
from transom.logs.options import check_log
from transom.networks.connections import Connections
from transom.networks.defaults import default_bridge, firewall_name
from transom.networks.firewall import Firewall
from transom.networks.naming import Naming
from transom.networks.publishing import Publishing
from transom.networks.relays import Relays
from transom.networks.sandbox import Namespaces
from transom.networks.store import NetworkStore
from transom.volumes import VolumeStore

__all__ = ["Engine"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class Engine:
    """One engine on one data root. Two of them, on two roots, live in one process.

    `with Engine(config) as engine:` opens it and recovers what an earlier one left; leaving the block closes it,
    while containers run on. Raises `Conflict` if another engine has one of its roots.
    """

    def __init__(self, config: Config, plugins: Sequence[Any] | None = None) -> None:
        self.config = config
        self.started = time.time_ns()
        #: Set when the daemon should end; frontends wait for it.
        self.stopping = threading.Event()
        #: Held around what is sent to some place, by (place, digest), so that jobs do not send it twice.
        self.transfers = Locks()
        self._close = ExitStack()
        try:
            self._open(plugins)
        except BaseException:
            self._close.close()
            raise

    def _open(self, plugins: Sequence[Any] | None) -> None:
        config = self.config
        for root in (config.data_root, config.exec_root):
            self._own(root)
        self.catalog = Catalog(config.data_root, plugins, self)
        self.catalog.manager.register(_Core(), name="transom.engine")
        self._handlers = self._gather_handlers()
        last = self._close.enter_context(ExitStack())
        self.pool = ThreadPoolExecutor(config.threads, thread_name_prefix="transom")
        self._close.callback(self.pool.shutdown, wait=True, cancel_futures=True)
        self.events = Events(self._announce)
        self.db = GraphDB(config.data_root / "graph.db")
        self._close.callback(self.db.close)
        self.content = ContentStore(config.data_root / "content")
        self.layers = LayerStore(self.db, self.content, self.catalog.graph, config.exec_root / "mounts")
        self.layers.on_loss = self._note_lost_mount
        # When no job is left that may need a driver.
        last.callback(self.layers.close)
        self.images = ImageStore(self.db, self.content, self.layers)
        #: For what containers are given and no disk may see.
        self.rooms = Rooms(config.exec_root / "rooms")
        self.build_cache = BuildCache(self.db, config.data_root / "build")
        self.volumes = VolumeStore(self.db, self.catalog.volume)
        self.firewall = Firewall(firewall_name(config))
        self.networks = NetworkStore(
            self.db,
            self.catalog.network,
            self.firewall,
            default_bridge(config),
            config.data_root,
        )
        self._close.callback(self.networks.close)
        relays = Relays(config.exec_root / "relay")
        relays.on_loss = lambda: self.submit(self.supervisor.restore_networking)
        self._close.callback(relays.close)
        self.naming = Naming(relays)
        self.publishing = Publishing(self.firewall, relays, lambda container: self.containers.get(container).name)
        self.containers = ContainerStore(self.db)
        self.connections = Connections(
            self.networks, Namespaces(config.exec_root / "netns"), self.events, config.exec_root / "shims"
        )
        self.supervisor = Supervisor(self)
        self._close.callback(self.supervisor.close)
        self._check_drivers()
        self._recover()

    def _note_lost_mount(self, driver: str, layer: str) -> None:
        """Record that a container sees its files no more, until it is started again."""
        log.error("the mount of the layer %s of the graph driver %s has died", layer, driver)
        if self.db.get("container", layer) is not None:
            name = self.containers.get(layer).name
            self.events.record("container", "mount_lost", layer, {"name": name, "driver": driver})

    def _own(self, root: Path) -> None:
        """Make a root directory and lock it for as long as the engine is open."""
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            # What is below is root's: layers have set-user-ID programs, which nobody outside may run.
            root.chmod(0o700)
            lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InvalidParameter(f"cannot use {root}: {error.strerror}") from error
        self._close.callback(os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 20, 0).decode(errors="replace").strip()
            raise Conflict(
                f"another daemon (process {owner or 'unknown'}) uses {root}: stop it, or choose other directories"
                " with --data-root and --exec-root"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)

    def _check_drivers(self) -> None:
        """Refuse defaults that are no driver's name, and options of logs that no container could have.

        That a driver does not work is said where it is used.
        """
        config, catalog = self.config, self.catalog
        for name, shelf in ((config.graphdriver, catalog.graph), (config.execdriver, catalog.exec)):
            if name and name not in shelf.names():
                raise NotFound(f"no {shelf.kind} driver is named {name!r}; {shelf.hint(name)}")
        if config.log_opts or config.log_driver != Config.log_driver:
            check_log(catalog.log, config.log_driver, config.log_opts)

    def _gather_handlers(self) -> dict[str, Handler | HandlerName]:
        handlers: dict[str, Handler | HandlerName] = {}
        origin: dict[str, str] = {}
        for implementation in self.catalog.manager.hook.transom_jobs.get_hookimpls():
            jobs: Mapping[str, Handler | HandlerName] = implementation.function()  # type: ignore[assignment]
            for name, handler in jobs.items():
                if name in handlers:
                    raise InvalidParameter(
                        f"two plugins claim the job {name!r}: {origin[name]} and {implementation.plugin_name};"
                        " uninstall one of them, or wrap transom_call_job"
                    )
                handlers[name] = handler
                origin[name] = implementation.plugin_name
        return handlers

    def _recover(self) -> None:
        """Find what an earlier engine left: finish it or take it away."""
        self.content.recover()
        self.layers.recover()
        self.images.recover()
        self.build_cache.recover()
        self.rooms.recover()
        self.volumes.recover()
        self.networks.recover()
        self.supervisor.recover()
        self.submit(self._resume_networks)

    def _resume_networks(self) -> None:
        self.networks.resume(self.connections.on)
        self.connections.resume()

    def close(self) -> None:
        """Stop: no new jobs, subscribers are let go, containers run on."""
        self.stopping.set()
        self._close.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Jobs

    def job(
        self,
        name: str,
        /,
        *,
        input: IO[bytes] | None = None,
        report: Callable[[Message], None] = lambda _: None,
        **parameters: Any,
    ) -> Job:
        """Make a job. Raises `NotFound` for an unknown name, `InvalidParameter` for wrong parameters."""
        if name not in self._handlers:
            raise NotFound(f"no plugin gives the job {name!r}")
        job = Job(self, name, parameters, input, report)
        try:
            inspect.signature(self._handler(name)).bind(self, job, **parameters)
        except TypeError as error:
            raise InvalidParameter(f"the job {name} {error}") from None
        return job

    def run(self, name: str, /, **parameters: Any) -> Any:
        """Make a job, run it in this thread and return its result."""
        return self.job(name, **parameters).run()

    def call(self, job: Job) -> Any:
        """Hand a job to `transom_call_job`. For `Job.run`."""
        if self.stopping.is_set():
            raise Unavailable("the daemon is stopping")
        try:
            return self.catalog.manager.hook.transom_call_job(engine=self, job=job)
        except TransomError:
            raise
        except Exception as error:
            if not find_driver(error):
                raise
            log.exception("the job %s failed in a driver", job.name)
            raise DriverFailed(describe(error)) from error

    def handle(self, job: Job) -> Any:
        """Call the handler that is registered under the job's name."""
        return self._handler(job.name)(self, job, **job.parameters)

    def _handler(self, name: str) -> Handler:
        """Return the handler of a job that there is, imported."""
        found = self._handlers[name]
        if isinstance(found, HandlerName):
            found = self._handlers[name] = cast("Handler", pkgutil.resolve_name(found))
        return found

    def submit(self, work: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Do work in the engine's pool."""
        return self.pool.submit(work, *arguments, **named)

    # Drivers

    def graphdriver(self, name: str = "") -> str:
        """Return the graph driver to use where `name` is asked for: it, the configured one, or the best."""
        return self._choose(name or self.config.graphdriver, self.catalog.graph)

    def execdriver(self, name: str = "") -> str:
        """Return the exec driver to use where `name` is asked for: it, the configured one, or the best."""
        return self._choose(name or self.config.execdriver, self.catalog.exec)

    @property
    def default_network(self) -> str:
        """The network of containers that name none."""
        if self.config.network:
            return self.config.network
        try:
            self.catalog.network.get("bridge")
        except TransomError:
            return "none"
        return "bridge"

    def drivers(self) -> list[DriverInfo]:
        """Return all drivers of all kinds, and the plugins that could not be loaded, whose drivers nobody knows."""
        catalog, config = self.catalog, self.config
        defaults = {
            "graph": config.graphdriver or _default(catalog.graph),
            "exec": config.execdriver or _default(catalog.exec),
            "volume": "local",
            "network": self.default_network,
            "log": config.log_driver,
        }
        broken = [
            DriverInfo("plugin", item.name, item.distribution, item.version, item.module, -1, unavailable=item.error)
            for item in catalog.plugins
            if item.error
        ]
        return [info for shelf in catalog.shelves() for info in shelf.describe(defaults[shelf.kind])] + broken

    def _choose(self, name: str, shelf: Any) -> str:
        if not name:
            return str(shelf.default())
        shelf.get(name)
        return name

    def _announce(self, event: Event) -> None:
        for implementation in self.catalog.manager.hook.transom_event.get_hookimpls():
            try:
                implementation.function(*(event for _ in implementation.argnames))
            except Exception:
                log.exception("plugin %s failed on the event %s", implementation.plugin_name, event.action)


def _default(shelf: Any) -> str:
    try:
        return str(shelf.default())
    except Exception:  # noqa: BLE001 that no driver works is shown per driver
        return ""


class _Core:
    """The engine's own implementation of hooks, called after every plugin's."""

    @hookimpl(trylast=True)
    def transom_call_job(self, engine: Engine, job: Job) -> Any:
        return engine.handle(job)
