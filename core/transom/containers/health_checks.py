"""The health checks of running containers: commands that are executed in them from time to time.

They are processes without clients; the containers' shims keep the beginning of what they write. No check holds a thread
for longer than it takes to start it: its end is heard of, and one thread waits for all that is due.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from transom.containers.alarms import Alarms
from transom.containers.execs import Execs
from transom.containers.health import UNHEALTHY, check_of, command_of, describe_timeout, interval, judge
from transom.containers.model import Container, ExecConfig, ExecRecord, ProbeResult, Status
from transom.containers.recording import Recorder
from transom.errors import Conflict, NotFound, TransomError

__all__ = ["HealthChecks"]

log = logging.getLogger(__name__)

#: How much is kept of what a check writes, in bytes.
_KEPT_OUTPUT = 4096
#: The exit code of a check that did not end by itself.
_NO_EXIT_CODE = -1
#: One of them waits for what is due; the others start checks.
_THREADS = 4
_SECOND = 1_000_000_000


@dataclass
class _Probe:
    """A check that is going on."""

    container: str
    start: int
    timed_out: bool = False


class HealthChecks:
    """The checks of one engine's containers.

    `locked` holds a container's lock, `change` records its new state, and `record` an event.
    """

    def __init__(
        self,
        execs: Execs,
        locked: Callable[[str], AbstractContextManager[Container]],
        change: Callable[[Container], None],
        record: Recorder,
    ) -> None:
        self._execs = execs
        self._locked = locked
        self._change = change
        self._record = record
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="transom-health")
        self._alarms = Alarms(self._ring, self._pool.submit)
        #: The containers that are checked; who changes it holds the container's lock.
        self._watched: set[str] = set()
        #: By the ID of the process.
        self._probes: dict[str, _Probe] = {}

    def follow(self, container: Container) -> Container:
        """Check a container if it runs now, and no longer if it does not; return it with what that means for it.

        It is called at each change of a container's state, with its lock held.
        """
        state = container.state
        if state.health is None:
            return container
        if state.status is Status.RUNNING:
            if container.id not in self._watched:
                self._watched.add(container.id)
                self._schedule(container)
            return container
        self._watched.discard(container.id)
        self._alarms.cancel(container.id)
        for exec_id, probe in tuple(self._probes.items()):
            if probe.container == container.id:
                self._forget(exec_id)
        # As Docker has it: nobody knows whether it would work.
        return container.with_state(health=replace(state.health, status=UNHEALTHY))

    def adopt(self, container: Container) -> None:
        """End the checks that an earlier engine began: nobody waits for them."""
        for exec_id in self._execs.probes(container.id):
            self._kill(exec_id)

    def ended(self, record: ExecRecord, output: str) -> None:
        """Take the result of a process that has ended, if it was a check."""
        if not record.probe:
            return
        self._execs.discard(record.id)
        probe = self._forget(record.id)
        if probe is not None:
            code = _NO_EXIT_CODE if record.exit_code is None else record.exit_code
            self._take(probe, code, output)

    def close(self) -> None:
        """Check no more; checks that go on are left to the next engine."""
        self._alarms.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    # What is due

    def _ring(self, name: str) -> None:
        """Do what is due: the check of a container, or the end of one that takes too long."""
        probe = self._probes.get(name)
        if probe is not None:
            probe.timed_out = True
        try:
            self._pool.submit(self._logged, self._begin if probe is None else self._kill, name)
        except RuntimeError:
            # The engine closes.
            return

    def _logged(self, work: Callable[[str], None], name: str) -> None:
        try:
            work(name)
        except Exception:
            log.exception("a health check: %s", name)

    def _begin(self, container_id: str) -> None:
        """Start the check of a container."""
        probe = _Probe(container_id, time.time_ns())
        try:
            with self._locked(container_id) as container:
                if container_id not in self._watched:
                    return
                exec_id = self._announce(container)
                self._probes[exec_id] = probe
        except NotFound:
            return
        try:
            # It may end before this returns.
            self._execs.start(exec_id, None, capture=_KEPT_OUTPUT)
        except TransomError as error:
            self._execs.discard(exec_id)
            # A conflict is a container that has ended since; what follows that stops its checks.
            if self._forget(exec_id) is not None and not isinstance(error, Conflict):
                self._take(probe, _NO_EXIT_CODE, str(error))
            return
        self._alarms.set(exec_id, check_of(container).timeout / _SECOND)
        if exec_id not in self._probes:
            self._alarms.cancel(exec_id)

    def _announce(self, container: Container) -> str:
        """Record a check as a process to be started, and return its ID."""
        command = command_of(container)
        config = ExecConfig(command, attach_stdout=True, attach_stderr=True)
        exec_id = self._execs.create(container, config, probe=True)
        for action in ("exec_create", "exec_start"):
            self._record(container, f"{action}: {' '.join(command)}", {"execID": exec_id})
        return exec_id

    def _kill(self, exec_id: str) -> None:
        try:
            self._execs.kill(exec_id, signal.SIGKILL)
        except TransomError as error:
            log.info("the health check %s cannot be killed: %s", exec_id, error)

    # Results

    def _take(self, probe: _Probe, exit_code: int, output: str) -> None:
        """Record a result, and have the next check."""
        try:
            with self._locked(probe.container) as container:
                if probe.container not in self._watched or container.state.health is None:
                    return
                if probe.timed_out:
                    exit_code, output = _NO_EXIT_CODE, describe_timeout(check_of(container).timeout, output)
                health = judge(container, ProbeResult(probe.start, time.time_ns(), exit_code, output))
                judged = container.with_state(health=health)
                self._change(judged)
                self._schedule(judged)
                if health.status != container.state.health.status:
                    self._record(judged, f"health_status: {health.status}")
        except NotFound:
            return

    def _schedule(self, container: Container) -> None:
        self._alarms.set(container.id, interval(container, time.time_ns()) / _SECOND)

    def _forget(self, exec_id: str) -> _Probe | None:
        """Forget a check that is over; return what is known of it, None if it was forgotten before."""
        self._alarms.cancel(exec_id)
        return self._probes.pop(exec_id, None)
