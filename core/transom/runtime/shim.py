"""The shim: the parent of one container. It outlives the daemon and ends when its container has ended.

It is forked from the spawner with the message that the daemon sent there:

    directory    the shim's own, `<exec-root>/shims/<container>`, which holds the bundle's config.json, and
                 log.json: {"driver": "module:qualified name", "directory": …, "options": {…}, "container": {…}}, the
                 last with the fields of `transom.drivers.log.LoggedContainer`
    container    the container's ID
    exec         the exec driver's class, as "module:qualified name"
    terminal     whether the container has a terminal
    stdin        whether it has a standard input; if not, it reads from /dev/null
    stdin_once   whether its stdin is closed when the first attached client's input ends

Files that it keeps in its directory: `control.sock` (channels), `pid` (the init's process ID, from the moment that the
container runs), `paused` (empty, while the container is paused), `exit` (the exit status, from the moment that it and
the whole log are on disk), `execs/<id>` and `execs/<id>.exit`, `driver/` (the exec driver's notes). All are written by
rename.

What can be asked on a channel (`runtime.service`), by `op`:

    start                               → {"pid": …}
    attach   streams, framed, detach, leftover  the client's connection as a descriptor
    exec     exec (its ID; what to run is in execs/<id>), terminal, stdin  → {"pid": …}
             and for a client what attach has, with its connection; or capture, the bytes of output that come with
             its end
    exec_signal  exec, signal: for the process, and those of its process group
    resize   height, width, exec (its ID, or empty for the container)
    signal   signal
    pause, resume, update (resources)
    processes                           → {"processes": […]}
    stats                               → {"counters": the driver's `Counters`, "network": counters by interface}

Without being asked it sends {"event": "exit", "status": …} and
{"event": "exec", "exec": …, "exit_code": …, "output": …}, and {"event": "detach", "exec": …} for a client that has left
by its keys, with the ID of the exec or empty for the container.
"""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import time
import traceback
from dataclasses import asdict
from pathlib import Path

from transom.drivers.blame import expect
from transom.drivers.exec import Counters, ExecDriver, Spawned
from transom.errors import Conflict, NotFound, Unsupported
from transom.runtime.accounting import interfaces
from transom.runtime.channel import Channel, Message
from transom.runtime.classes import find_class
from transom.runtime.container_log import ContainerLog
from transom.runtime.program import exit_code_of
from transom.runtime.service import Service, failure
from transom.runtime.session import Session
from transom.runtime.streams import Beginning, Loop
from transom.runtime.syscalls.processes import set_child_subreaper, set_name, set_undumpable

__all__ = ["main", "publish"]


def main(message: Message, channel: Channel) -> None:
    """Be the shim of one container until it has ended. Does not return."""
    try:
        try:
            shim = Shim(message, channel)
        except Exception as error:
            _refuse(channel, error)
            raise
        shim.run()
    except BaseException:  # noqa: BLE001 the last frame of the process: say why and end
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _refuse(channel: Channel, error: Exception) -> None:
    """Answer the first request with an error."""
    received = channel.receive()
    if received is not None:
        channel.send({"number": received[0]["number"], **failure(error)})


def publish(path: Path, content: str) -> None:
    """Write a small file so that it is there whole or not at all."""
    temporary = f"{path}.new"
    with open(temporary, "w") as file:
        file.write(content)
    os.rename(temporary, path)


class Shim:
    """The state of one shim: its container's driver, log, init and execs, and its channels to the daemon."""

    def __init__(self, message: Message, channel: Channel) -> None:
        self._directory = Path(message["directory"])
        self._become_independent()
        self._loop = Loop()
        self._service = Service(self._loop, self._directory, "control.sock", self._handle)
        self._watch_children()
        driver: type[ExecDriver] = find_class(message["exec"])
        self._driver = driver(message["container"], self._directory, self._directory / "driver")
        self._log = ContainerLog(self._directory / "log.json")
        self._init = Session(
            self._loop,
            terminal=message["terminal"],
            stdin=message["stdin"],
            stdin_once=message["stdin_once"],
            log=self._log,
            on_drained=self._finish,
            on_detach=lambda: self._service.announce({"event": "detach", "exec": ""}),
        )
        self._terminal: bool = message["terminal"]
        self._pid = 0
        self._status: int | None = None
        self._finishing = False
        self._over = False
        self._paused = False
        self._ran_out_of_memory = False
        self._execs: dict[str, Session] = {}
        self._exec_pids: dict[int, str] = {}
        self._beginnings: dict[str, Beginning] = {}
        self._service.connect(channel)

    def run(self) -> None:
        """Serve until the container has ended and every client has got its output; or until nobody can start it."""
        while not (self._over and self._init.idle and all(session.idle for session in self._execs.values())):
            self._loop.turn()
            if not self._pid and not self._service.connected and not self._over:
                # The daemon ended before it started the container.
                return

    # The process itself

    def _become_independent(self) -> None:
        os.setsid()
        set_name("transom-shim")
        set_child_subreaper()
        # What it forks is not the container's to look into before it is the container's program (CVE-2016-9962).
        set_undumpable()
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        complaints = os.open(self._directory / "shim.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.dup2(complaints, 2)
        os.close(complaints)

    def _watch_children(self) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

        def wake(_: int) -> None:
            os.read(reader, 512)
            self._reap()

        self._loop.add(reader, select.EPOLLIN, wake)

    # Requests

    def _handle(self, message: Message, descriptors: list[int]) -> Message | None:
        answer: Message | None = getattr(self, f"_do_{message['op']}")(message, descriptors)
        return answer

    def _do_start(self, _message: Message, _descriptors: list[int]) -> Message:
        if self._pid:
            raise Conflict("the container was started before")
        try:
            self._log.open(self._loop, self._init.throttle)
            with self._init.stdio() as stdio:
                spawned = expect(self._driver, "create", Spawned, self._driver.create(stdio))
            self._pid = spawned.pid
            if spawned.terminal is not None:
                self._init.use_terminal(spawned.terminal)
            # From here on a daemon that finds this file knows that the container was started.
            publish(self._directory / "pid", str(self._pid))
            self._driver.start()
        except BaseException:
            self._abandon()
            raise
        return {"pid": self._pid}

    def _abandon(self) -> None:
        """The container did not start: undo what was made, let the clients go, and end."""
        (self._directory / "pid").unlink(missing_ok=True)
        self._delete()
        self._over = True
        self._log.close()
        self._init.end()

    def _do_attach(self, message: Message, descriptors: list[int]) -> None:
        self._init.attach(descriptors.pop(), message, base64.b64decode(message["leftover"]))

    def _do_exec(self, message: Message, descriptors: list[int]) -> Message:
        self._check_running()
        if self._paused:
            # It would be born frozen, and the shim wait for it.
            raise Conflict("the container is paused, unpause the container before exec")
        name: str = message["exec"]
        process = json.loads((self._directory / "execs" / name).read_bytes())["process"]
        self._forget_ended_execs()
        beginning = Beginning(message.get("capture", 0))
        session = Session(
            self._loop,
            terminal=message["terminal"],
            stdin=message["stdin"],
            stdin_once=True,
            log=beginning,
            on_detach=lambda: self._service.announce({"event": "detach", "exec": name}),
        )
        try:
            if descriptors:
                session.attach(descriptors.pop(), message, base64.b64decode(message["leftover"]))
            with session.stdio(captured=beginning.limit > 0 or not session.idle) as stdio:
                spawned = expect(self._driver, "exec", Spawned, self._driver.exec(process, stdio))
        except BaseException:
            session.end()
            raise
        self._execs[name] = session
        if spawned.terminal is not None:
            session.use_terminal(spawned.terminal)
        self._exec_pids[spawned.pid] = name
        self._beginnings[name] = beginning
        return {"pid": spawned.pid}

    def _forget_ended_execs(self) -> None:
        running = set(self._exec_pids.values())
        self._execs = {
            name: session
            for name, session in self._execs.items()
            if name in running or not (session.idle and session.drained)
        }

    def _do_resize(self, message: Message, _descriptors: list[int]) -> None:
        session = self._execs.get(message["exec"]) if message["exec"] else self._init
        if session is None:
            raise NotFound(f"no such exec instance: {message['exec']}")
        session.resize(message["height"], message["width"])

    def _do_signal(self, message: Message, _descriptors: list[int]) -> None:
        if self._status is not None:
            raise Conflict("the container has ended")
        self._driver.kill(message["signal"])

    def _do_exec_signal(self, message: Message, _descriptors: list[int]) -> None:
        pid = next((pid for pid, name in self._exec_pids.items() if name == message["exec"]), None)
        if pid is None:
            raise Conflict(f"the process {message['exec']} has ended")
        # It was made the leader of a group, and is not waited for yet; it may have left the group.
        for send in (os.killpg, os.kill):
            try:
                send(pid, message["signal"])
            except ProcessLookupError:
                continue

    def _do_pause(self, _message: Message, _descriptors: list[int]) -> None:
        self._check_running()
        self._driver.pause()
        self._paused = True
        publish(self._directory / "paused", "")

    def _do_resume(self, _message: Message, _descriptors: list[int]) -> None:
        self._check_running()
        self._driver.resume()
        self._paused = False
        (self._directory / "paused").unlink(missing_ok=True)

    def _do_processes(self, _message: Message, _descriptors: list[int]) -> Message:
        self._check_running()
        found = expect(self._driver, "processes", list, self._driver.processes())
        return {"processes": [expect(self._driver, "processes", int, pid) for pid in found]}

    def _do_update(self, message: Message, _descriptors: list[int]) -> None:
        self._driver.update(message["resources"])

    def _do_stats(self, _message: Message, _descriptors: list[int]) -> Message:
        self._check_running()
        counters = expect(self._driver, "stats", Counters, self._driver.stats())
        return {"counters": asdict(counters), "network": interfaces(self._pid)}

    def _check_running(self) -> None:
        if not self._pid or self._status is not None:
            raise Conflict("the container is not running")

    # What ends

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            code = exit_code_of(status)
            if pid == self._pid:
                self._init_ended(code)
            elif pid in self._exec_pids:
                self._exec_ended(pid, code)

    def _init_ended(self, code: int) -> None:
        if self._over:
            return
        self._status = code
        self._finished = time.time_ns()
        self._ran_out_of_memory = self._count_kills() > 0
        # Ends what is left of the container, so that its streams end.
        self._delete()
        if self._init.drained:
            self._finish()

    def _count_kills(self) -> int:
        """Return how many of the container's processes the kernel killed for want of memory."""
        try:
            return expect(self._driver, "stats", Counters, self._driver.stats()).oom_kills
        except Unsupported:
            return 0
        except Exception:  # noqa: BLE001 the exit status counts more
            traceback.print_exc()
            return 0

    def _delete(self) -> None:
        """Undo what the driver made. What it fails to do must not keep anybody from knowing how the container ended."""
        try:
            self._driver.delete()
        except Exception:  # noqa: BLE001 a driver of anybody's
            traceback.print_exc()

    def _finish(self) -> None:
        """The init has ended and all that it wrote was read: make that last, then tell."""
        if self._status is None or self._finishing:
            return
        self._finishing = True
        self._log.close(self._conclude)

    def _conclude(self) -> None:
        self._over = True
        status = {"exit_code": self._status, "finished": self._finished, "oom_killed": self._ran_out_of_memory}
        publish(self._directory / "exit", json.dumps(status))
        self._service.announce({"event": "exit", "status": status})
        self._init.end()
        for session in self._execs.values():
            session.end()

    def _exec_ended(self, pid: int, code: int) -> None:
        name = self._exec_pids.pop(pid)
        session = self._execs[name]
        session.drain_now()
        publish(self._directory / "execs" / f"{name}.exit", str(code))
        output = self._beginnings.pop(name).text()
        self._service.announce({"event": "exec", "exec": name, "exit_code": code, "output": output})
        # Processes that it left behind may hold its streams; their output is still read, for nobody.
        session.release_clients()
