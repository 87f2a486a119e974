"""Starts containers, watches them, and does what follows when they end: the engine's part of their life.

    created ──start──▶ running ──exit──▶ exited ──start──▶ running …        any ──remove──▶ gone
                          ▲                 │
                          └──restart policy─┘

A container's state changes only here, under its lock, and is in the database before anybody is told. What a start makes
is undone in reverse when the container ends: the order is `_Preparation`'s. The shim's directory is made first and
removed last, so that the next engine finds it after a crash and cleans up (`recover`).
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from transom.containers.attachments import Attachments
from transom.containers.execs import Execs
from transom.containers.exits import read_exit, unseen
from transom.containers.followers import Followers
from transom.containers.health import initial_health
from transom.containers.health_checks import HealthChecks
from transom.containers.links import Links
from transom.containers.measurements import Measurements
from transom.containers.model import Container, State, Status, WaitResult
from transom.containers.networking import Networking
from transom.containers.pausing import Pausing
from transom.containers.preparation import Preparation
from transom.containers.recording import Recorder
from transom.containers.restarts import Restarts
from transom.containers.signals import parse_signal
from transom.containers.states import check_startable, why_not_removed
from transom.containers.views import Views
from transom.containers.waiters import Waiters
from transom.drivers.network import Network
from transom.errors import Conflict, NotFound, NotModified, StartFailed, TransomError
from transom.runtime.channel import Message
from transom.runtime.shims import Listener, Shims

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["Supervisor"]

log = logging.getLogger(__name__)

_DEFAULT_STOP_TIMEOUT = 10
_ENDING_THREADS = 8
#: Seconds in which a killed container should have ended; it may hang in the kernel for longer.
_KILL_TIMEOUT = 10


class Supervisor:
    """All that runs in one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._store = engine.containers
        self._closing = threading.Event()
        self.waiters = Waiters()
        self.record = Recorder(engine.events)
        #: Containers that end only to be started again by a client, so that --rm does not mean this end.
        self._keep: set[str] = set()
        # Those who wait for a container's end hold threads of the engine's pool; the end itself must find one.
        self._endings = ThreadPoolExecutor(_ENDING_THREADS, thread_name_prefix="transom-ending")
        listener = Listener(self._heard_exit, self._heard_exec_exit, self._heard_lost, self._heard_detach)
        self.shims = Shims(engine.config.exec_root / "shims", listener, engine.submit)
        self.attachments = Attachments(self.shims)
        self._links = Links(engine)
        self.execs = Execs(engine, self.shims, self._links)
        self.followers = Followers(engine.submit)
        self._health = HealthChecks(self.execs, self._store.locked, self._change, self.record)
        self.pausing = Pausing(self._store, self.shims, self._change, self.record)
        self._networking = Networking(engine, self._links)
        self._preparation = Preparation(engine, self.shims, self._networking)
        self.views = Views(engine, self._preparation)
        self.measurements = Measurements(self.shims, self._store.has, engine.submit)
        self._restarts = Restarts(self._restart, self._endings.submit)

    # What clients ask for

    def start(self, name: str) -> None:
        """Start a container. Raises `NotModified` if it runs, `StartFailed`, and what its drivers raise."""
        with self._store.locked(name) as container:
            check_startable(container)
            self._restarts.forget(container.id)
            self._start(container.with_state(restarts=0))

    def confide(self, container: str, variables: tuple[str, ...]) -> None:
        """Give a container's process variables at its next start that no record has and no `inspect` shows."""
        self._preparation.confide(container, variables)

    def kill(self, name: str, signal: int) -> None:
        """Send a signal to a container's init, and give it time to end if that is KILL.

        Raises `Conflict` if it does not run, `NotFound`.
        """
        try:
            container = self._store.get(name)
        except NotFound as error:
            raise NotFound(f"cannot kill container: {name}: {error}") from error
        if not container.state.running:
            raise Conflict(f"cannot kill container: {name}: container {container.id} is not running")
        if signal in (parse_signal("KILL"), parse_signal("TERM"), self._stop_signal(container)):
            self._set_stopped_by_user(container.id)
        ended = self.wait(container.id, "not-running") if signal == parse_signal("KILL") else None
        self._send(container, signal)
        self._let_hear(container, signal)
        if ended is not None:
            _ends_within(ended, _KILL_TIMEOUT)

    def stop(self, name: str, timeout: int | None = None, signal: str = "") -> None:
        """Ask a container to end, and kill it after `timeout` seconds (-1: never). Raises `NotModified`."""
        with self._store.locked(name) as container:
            if container.state.status is Status.RESTARTING:
                self._restarts.forget(container.id)
                self._change(container.with_state(status=Status.EXITED, stopped_by_user=True))
                self.waiters.resolve(container.id, "exit", WaitResult(container.state.exit_code))
                return
        if not container.state.running:
            raise NotModified(f"container {container.id} is already stopped")
        number = parse_signal(signal) if signal else self._stop_signal(container)
        seconds = timeout if timeout is not None else container.config.stop_timeout
        seconds = _DEFAULT_STOP_TIMEOUT if seconds is None else seconds
        ended = self.wait(container.id, "not-running")
        self._set_stopped_by_user(container.id)
        self._signal(container, number)
        if not _ends_within(ended, None if seconds < 0 else seconds):
            self._signal(container, parse_signal("KILL"))
            ended.result()
        self.record(container, "stop")

    def restart(self, name: str, timeout: int | None = None, signal: str = "") -> None:
        """Stop a container if it runs, and start it."""
        container = self._store.get(name)
        self._keep.add(container.id)
        try:
            try:
                self.stop(container.id, timeout, signal)
            except NotModified:
                pass
            with self._store.locked(container.id) as stopped:
                check_startable(stopped)
                self._start(stopped.with_state(restarts=0))
        finally:
            self._keep.discard(container.id)
        self.record(container, "restart")

    def connect(self, container: Container, network: Network) -> None:
        """Connect a running container to a network that is among those it is to be on. The caller holds its lock."""
        self._change(self._networking.connect(container, network))

    def disconnect(self, container: Container, network: str) -> None:
        """Take a running container off a network, by name, that it is not to be on. The caller holds its lock."""
        endpoint = container.endpoints[network]
        left = replace(
            container, endpoints={name: other for name, other in container.endpoints.items() if name != network}
        )
        # What is recorded beside these is taken away by the next engine if this one ends here.
        self._change(left)
        self._change(self._networking.disconnect(left, endpoint))

    def unlink(self, container: Container, alias: str) -> None:
        """Take a link away from a container, which runs or not. The caller holds its lock."""
        left = replace(container, links={name: link for name, link in container.links.items() if name != alias})
        self._change(left)
        if left.state.running:
            self._networking.unlinked(left)

    def restore_networking(self) -> None:
        """Tell a new relay of the names and published ports of all that runs."""
        for container in self._store.running():
            try:
                with self._store.locked(container.id) as current:
                    if current.state.running:
                        self._networking.restore(current)
            except TransomError as error:
                log.warning("the names and ports of the container %s are not back: %s", container.id, error)

    def rename(self, container: Container) -> None:
        """Let the others on a running container's networks know its new name. The caller holds its lock."""
        self._change(self._networking.rename(container))

    def wait(self, name: str, condition: str) -> Future[WaitResult]:
        """Return a future of a container's end: `not-running` (now or later), `next-exit`, or `removed`."""
        with self._store.locked(name) as container:
            ended = not container.state.running and container.state.status is not Status.RESTARTING
            if condition == "not-running" and ended:
                return Waiters.settled(WaitResult(container.state.exit_code, container.state.error))
            return self.waiters.add(container.id, condition)

    def remove(self, name: str, *, force: bool = False, volumes: bool = False) -> None:
        """Delete a container with its layer and log. Raises `Conflict` if it runs, unless `force`."""
        container = self._store.get(name)
        try:
            while (running := self._remove_unless_running(container.id, force=force, volumes=volumes)) is not None:
                if not force:
                    raise Conflict(f'cannot remove container "{name}": {why_not_removed(running)}')
                ended = self.wait(container.id, "not-running")
                self._set_stopped_by_user(container.id)
                self._signal(container, parse_signal("KILL"))
                ended.result()
        except NotFound:
            # A container with --rm is removed by its own end, and a job's by the job, which may be first.
            if not (container.host.auto_remove or container.temporary):
                raise

    def _remove_unless_running(self, container_id: str, *, force: bool, volumes: bool) -> Container | None:
        """Remove a container and return None, or return it as it is if it runs."""
        with self._engine.db.freeing(), self._store.locked(container_id) as container:
            if container.state.running or (container.state.status is Status.RESTARTING and not force):
                return container
            self._restarts.forget(container_id)
            self._remove(container, volumes=volumes)
            return None

    def close(self) -> None:
        """Let go of the containers, which run on."""
        self._closing.set()
        self._restarts.close()
        self._health.close()
        self._endings.shutdown(wait=True, cancel_futures=True)
        self.measurements.close()
        self.attachments.close()
        self.shims.close()
        self.followers.close()
        self.waiters.close()
        self._preparation.leave()

    # Starting

    def _start(self, container: Container) -> None:
        try:
            prepared = self._preparation.make(container)
            try:
                self.attachments.hand_over(container.id)
                pid = self.shims.request(container.id, "start")["pid"]
            except BaseException:
                self._preparation.undo(prepared)
                raise
        except BaseException as error:
            self._start_failed(container, error)
            raise
        state = State(
            status=Status.RUNNING,
            pid=pid,
            started=time.time_ns(),
            restarts=container.state.restarts,
            health=initial_health(container),
        )
        self._change(replace(prepared, state=state))
        self.record(prepared, "start")

    def _start_failed(self, container: Container, error: BaseException) -> None:
        self.attachments.drop(container.id)
        code = error.exit_code if isinstance(error, StartFailed) else 128
        failed = container.with_state(
            status=Status.CREATED if not container.state.started else Status.EXITED,
            exit_code=code,
            error=str(error),
            pid=0,
        )
        self._change(failed)
        if container.host.auto_remove:
            self._remove(failed, volumes=True)

    def _restart(self, container_id: str) -> None:
        try:
            with self._store.locked(container_id) as container:
                if container.state.status is Status.RESTARTING and not self._closing.is_set():
                    self._start(container.with_state(restarts=container.state.restarts + 1))
        except Exception as error:
            # Others wait for their restart in the same thread.
            if not isinstance(error, TransomError):
                log.exception("restart of the container %s", container_id)
            log.warning("cannot restart the container %s: %s", container_id, error)

    # Ending

    def _heard_exit(self, container_id: str, status: Message) -> None:
        self._submit(self._ended, container_id, status)

    def _heard_exec_exit(self, container_id: str, exec_id: str, exit_code: int, output: str) -> None:
        self._submit(self._exec_ended, container_id, exec_id, exit_code, output)

    def _heard_detach(self, container_id: str, exec_id: str) -> None:
        self._submit(self._detached, container_id, exec_id)

    def _heard_lost(self, container_id: str) -> None:
        self._submit(self._lost, container_id)

    def _submit(self, work: Callable[..., None], *arguments: object) -> None:
        # While the engine closes, what happens is left for the next one to find.
        if not self._closing.is_set():
            self._endings.submit(self._logged, work, *arguments)

    def _logged(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except Exception:
            log.exception("what follows the end of a process failed: %s", arguments)

    def _exec_ended(self, container_id: str, exec_id: str, exit_code: int, output: str) -> None:
        record = self.execs.ended(exec_id, exit_code)
        try:
            container = self._store.get(container_id)
        except NotFound:
            return
        self.record(container, "exec_die", {"execID": exec_id, "exitCode": str(exit_code)})
        if record is not None:
            self._health.ended(record, output)

    def _lost(self, container_id: str) -> None:
        """A shim ended without a word: either its container never started, or it was killed."""
        try:
            with self._store.locked(container_id) as container:
                # A shim whose start failed also ends in this way, and another start may have made the next one.
                if not container.state.running or self.shims.has(container_id):
                    return
                self._preparation.kill(container)
                status = read_exit(self.shims.directory(container_id))
        except NotFound:
            return
        if status is None:
            log.warning("the shim of the container %s was killed", container_id)
            status = unseen()
        self._ended(container_id, status)

    def _detached(self, container_id: str, exec_id: str) -> None:
        try:
            container = self._store.get(container_id)
        except NotFound:
            return
        self.record(container, "exec_detach" if exec_id else "detach", {"execID": exec_id} if exec_id else None)

    def _ended(self, container_id: str, status: Message) -> None:
        """Do what follows a container's end; `status` is what its shim has left (`_conclude` there)."""
        exit_code: int = status["exit_code"]
        out_of_memory: bool = status.get("oom_killed", False)
        try:
            with self._engine.db.freeing(), self._store.locked(container_id) as container:
                if not container.state.running:
                    return
                try:
                    self._preparation.undo(container)
                except Exception:
                    # The container has ended all the same; what is left is tried again when it is removed or started.
                    log.exception("the container %s has ended and something of it stays", container_id)
                self.execs.forget(container_id)
                ended = replace(container, endpoints={}, published=(), sandbox="").with_state(
                    status=Status.EXITED,
                    pid=0,
                    exit_code=exit_code,
                    finished=status["finished"],
                    error="",
                    oom_killed=out_of_memory,
                )
                delay = self._restarts.delay(ended)
                if delay is not None:
                    ended = ended.with_state(status=Status.RESTARTING)
                self._change(ended)
                if out_of_memory:
                    self.record(ended, "oom")
                self.record(ended, "die", {"exitCode": str(exit_code)})
                if ended.host.auto_remove and container_id not in self._keep:
                    self._remove(ended, volumes=True)
                elif delay is not None:
                    self._restarts.schedule(container_id, delay)
        except NotFound:
            return
        self.waiters.resolve(container_id, "exit", WaitResult(exit_code))

    def _remove(self, container: Container, *, volumes: bool) -> None:
        removing = container.with_state(status=Status.REMOVING)
        self._change(removing)
        self.attachments.drop(container.id)
        self.views.end(container.id)
        if not container.temporary:
            self._engine.layers.remove(container.graphdriver, container.id)
        shutil.rmtree(self._preparation.directory(container), ignore_errors=True)
        self._store.remove(container)
        self.followers.wake(container.id)
        if volumes:
            self._preparation.remove_anonymous_volumes(container)
        self.execs.forget(container.id)
        self.record(container, "destroy")
        result = WaitResult(container.state.exit_code)
        self.waiters.resolve(container.id, "exit", result)
        self.waiters.resolve(container.id, "removed", result)

    def _change(self, container: Container) -> None:
        self._store.replace(self._health.follow(container))
        self.followers.wake(container.id)

    def _set_stopped_by_user(self, container_id: str) -> None:
        with self._store.locked(container_id) as container:
            if not container.state.stopped_by_user:
                self._change(container.with_state(stopped_by_user=True))

    def _signal(self, container: Container, number: int) -> None:
        try:
            self._send(container, number)
        except (Conflict, NotFound):
            # It ended by itself just now.
            return
        self._let_hear(container, number)

    def _send(self, container: Container, number: int) -> None:
        # What follows an end waits for the lock, so it is told after what caused it.
        with self._store.locked(container.id):
            self.shims.request(container.id, "signal", signal=number)
            self.record(container, "kill", {"signal": str(number)})

    def _let_hear(self, container: Container, signal: int) -> None:
        """Let a paused container go on that was sent a signal to end; only KILL ends it where it is."""
        asked = container.config.run.stop_signal
        if signal != parse_signal("KILL") and (not asked or signal == parse_signal(asked)):
            try:
                self.pausing.unpause(container.id)
            except (Conflict, NotFound):
                # It was not paused, or ended without hearing it.
                return

    def _stop_signal(self, container: Container) -> int:
        return parse_signal(container.config.run.stop_signal or "TERM")

    # After a crash

    def recover(self) -> None:
        """Find the containers that an earlier engine left, and what it had begun and not finished."""
        self.shims.preload(self._preparation.modules())
        for directory in self.shims.root.iterdir():
            if directory.is_dir():
                try:
                    self._recover(directory)
                except Exception:
                    # One container that cannot be recovered must not keep the engine from starting.
                    log.exception("recovery of the container %s", directory.name)
                    self._preparation.discard(directory)
        # The oldest first: others may have namespaces and mounts of theirs.
        for container in reversed(self._store.list()):
            if not container.state.running:
                self._preparation.close(container)
            self._settle(container)
        for container in self._store.list():
            if container.temporary:
                self._submit(self._discard, container.id)
        running = {container.id for container in self._store.running()}
        self._engine.connections.recovered(running)
        self._engine.naming.retain(running)

    def _discard(self, container_id: str) -> None:
        """End and remove a container whose job went with an earlier engine."""
        try:
            container = self._store.get(container_id)
            self.remove(container_id, force=True, volumes=True)
            self._engine.layers.remove(container.graphdriver, container_id)
        except NotFound:
            log.info("the container %s of an unfinished job was removed by somebody else", container_id)

    def _recover(self, directory: Path) -> None:
        try:
            container = self._store.get(directory.name)
        except NotFound:
            self._preparation.discard(directory)
            return
        with self._store.locked(container.id) as container:
            alive = self.shims.reconnect(container.id)
            status = read_exit(directory)
            if alive and status is None and (directory / "pid").exists():
                adopted = container
                paused = (directory / "paused").exists()
                if not container.state.running:
                    adopted = container.with_state(
                        status=Status.RUNNING,
                        started=time.time_ns(),
                        exit_code=0,
                        error="",
                        health=initial_health(container),
                    )
                pid = int((directory / "pid").read_text())
                adopted = self._preparation.adopt(adopted, was_running=container.state.running)
                self.execs.adopt(container.id)
                self._health.adopt(container)
                self._change(adopted.with_state(pid=pid, status=Status.PAUSED if paused else Status.RUNNING))
                self.pausing.recover(container.id)
                return
            self._preparation.kill(container)
            if container.state.running:
                if status is None:
                    status = unseen()
                self._ended(container.id, status)
            else:
                self._preparation.undo(container)

    def _settle(self, container: Container) -> None:
        """Bring a container without a shim into a state that is true."""
        state = container.state
        if state.running and not self.shims.directory(container.id).exists():
            # The machine was restarted.
            self._ended(container.id, unseen())
        elif state.status is Status.REMOVING or (container.host.auto_remove and not state.running):
            with self._store.locked(container.id) as current:
                self._remove(current, volumes=container.host.auto_remove)
        elif self._restarts.wanted_after_boot(container):
            self._change(container.with_state(status=Status.RESTARTING))
            self._restarts.schedule(container.id, 0)


def _ends_within(ended: Future[WaitResult], seconds: float | None) -> bool:
    try:
        ended.result(seconds)
    except TimeoutError:
        return False
    return True
