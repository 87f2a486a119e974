"""What exec drivers share that make their containers by system calls from the shim itself.

Such a driver says which namespaces the init is born into, and how a process gets into the container's root; building
the file system, the terminal, the control group and the hand-over to the user's program are the same for all.
"""

from __future__ import annotations

import array
import fcntl
import json
import os
import termios
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from signal import SIGKILL
from typing import Any

from transom.drivers.exec import Counters, ExecDriver, Spawned, Stdio
from transom.errors import DriverUnavailable, StartFailed, Unsupported
from transom.runtime.accounting import count
from transom.runtime.cgroups import Cgroup
from transom.runtime.init import INIT_ANNOTATION, execute_under_init
from transom.runtime.launch import Gate, Launch
from transom.runtime.program import execute, open_terminal, take_stdio, take_terminal
from transom.runtime.rootfs import Rootfs
from transom.runtime.syscalls import processes

__all__ = ["NativeDriver", "require_namespaces"]


def require_namespaces(flags: int, remedy: str) -> None:
    """Raise `DriverUnavailable` if this process may not make namespaces (CLONE_NEW*)."""
    pid = os.fork()
    if pid == 0:
        try:
            processes.unshare(flags)
        except OSError as error:
            os._exit(error.errno or 255)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise DriverUnavailable(f"making namespaces was refused ({os.strerror(code)})", remedy)


def kill_children() -> None:
    """Kill every descendant of this process, a subreaper, to which the children of those that die come in turn.

    They stay to be waited for. It serves where there is no control group.
    """
    while alive := [child for child in _children(os.getpid()) if not _is_zombie(child)]:
        for child in alive:
            os.kill(child, SIGKILL)
        time.sleep(0.001)


def descendants(process: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [process]
    for parent in found:
        try:
            found += _children(parent)
        except FileNotFoundError:
            # It has ended meanwhile.
            continue
    return found


def _children(process: int) -> list[int]:
    with open(f"/proc/{process}/task/{process}/children") as file:
        return [int(child) for child in file.read().split()]


def _is_zombie(child: int) -> bool:
    with open(f"/proc/{child}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


class NativeDriver(ExecDriver):
    """The common part. The methods that start with `child_` run in the new process."""

    inits = True

    def __init__(self, container: str, bundle: Path, state: Path) -> None:
        super().__init__(container, bundle, state)
        self.config: dict[str, Any] = json.loads((bundle / "config.json").read_bytes())
        self._cgroup = Cgroup(self.config["linux"]["cgroupsPath"])
        self._launch: Launch | None = None
        self.pid = 0

    @abstractmethod
    def birth_namespaces(self) -> int:
        """Return the namespaces (CLONE_NEW*) that the init is born into."""

    def birth(self) -> AbstractContextManager[None]:
        """Make the init a child of the `with` block's namespaces, where it joins one that it can only be born into."""
        return nullcontext()

    @abstractmethod
    def child_isolate(self) -> None:
        """Do what is left of isolating the init, before its file system is built."""

    @abstractmethod
    def child_enter_root(self, rootfs: Rootfs) -> None:
        """Make the finished file system the init's root."""

    def child_released(self) -> None:
        """Do what can only be done when the shim has put the init where it belongs, before its program."""

    @abstractmethod
    def joining(self) -> AbstractContextManager[Callable[[], None]]:
        """Open what leads into the running container; forks of the `with` block call what it gives to enter."""

    def create(self, stdio: Stdio) -> Spawned:
        """Make the container's init and let it build the container."""
        self._cgroup.create()
        try:
            with self.birth(), self._cgroup.birthplace() as birthplace:
                self._launch = Launch(
                    lambda gate: self._build(gate, stdio), namespaces=self.birth_namespaces(), cgroup=birthplace
                )
            # It builds its file system meanwhile.
            self._take(self._launch)
            terminal = self._launch.wait_ready()
        except BaseException:
            self._launch = None
            self._cgroup.remove()
            raise
        self.pid = self._launch.pid
        return Spawned(self.pid, terminal)

    def start(self) -> None:
        """Let the init execute the user's program."""
        if self._launch is None:
            raise StartFailed("unable to start container process: the container was not created")
        launch, self._launch = self._launch, None
        launch.release()

    def exec(self, process: dict[str, Any], stdio: Stdio) -> Spawned:
        """Make a process that joins the container."""
        with self._cgroup.birthplace() as birthplace, self.joining() as enter:
            launch = Launch(lambda gate: self._join(gate, enter, process, stdio), cgroup=birthplace)
        self._take(launch)
        terminal = launch.wait_ready()
        try:
            launch.release()
        except BaseException:
            if terminal is not None:
                os.close(terminal)
            raise
        return Spawned(launch.pid, terminal)

    def kill(self, signal: int) -> None:
        """Signal the init."""
        if self.pid:
            try:
                os.kill(self.pid, signal)
            except ProcessLookupError:
                return
            if signal == SIGKILL:
                self._cgroup.let_die()

    def delete(self) -> None:
        """Kill what is left in the control group and take it away; namespaces go with their last process."""
        if self._launch is not None:
            self._launch.abandon()
            self._launch = None
        if self._cgroup.directory is None and self.pid:
            kill_children()
        self._cgroup.remove()

    def processes(self) -> list[int]:
        """Return what is in the control group, or without one all that descends from the init."""
        return self._cgroup.processes() if self._cgroup.directory is not None else descendants(self.pid)

    def stats(self) -> Counters:
        """Return what the control group's controllers have counted."""
        return count(self._cgroup)

    def pause(self) -> None:
        """Freeze the control group."""
        self._freeze(True)

    def resume(self) -> None:
        """Thaw the control group."""
        self._freeze(False)

    @property
    def moves(self) -> bool:
        """Whether the init is put into some of its control groups only while it builds the container."""
        return self._cgroup.moves

    def _take(self, launch: Launch) -> None:
        try:
            self._cgroup.take(launch.pid)
        except BaseException:
            launch.abandon()
            raise

    def _freeze(self, frozen: bool) -> None:
        if not self._cgroup.freeze(frozen):
            raise Unsupported("this machine has no control group hierarchy that freezes processes")

    def _build(self, gate: Gate, stdio: Stdio) -> None:
        process = self.config["process"]
        os.setsid()
        processes.set_parent_death_signal(SIGKILL)
        self.child_isolate()
        for name, value in self.config["linux"].get("sysctl", {}).items():
            _set_sysctl(name, value)
        rootfs = Rootfs(self.config)
        rootfs.build()
        controlling = None
        if process.get("terminal"):
            controlling, terminal = open_terminal(rootfs.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY))
            _set_size(controlling, process.get("consoleSize"))
            rootfs.set_console(terminal)
            take_terminal(terminal)
        else:
            take_stdio(stdio)
        rootfs.protect()
        self.child_enter_root(rootfs)
        gate.ready(controlling)
        self.child_released()
        gate.close_others()
        if self.config.get("annotations", {}).get(INIT_ANNOTATION) == "true":
            execute_under_init(process, gate.close)
        execute(process)

    def _join(self, gate: Gate, enter: Callable[[], None], process: Mapping[str, Any], stdio: Stdio) -> None:
        enter()
        os.setsid()
        controlling = None
        if process.get("terminal"):
            controlling, terminal = open_terminal(os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
            _set_size(controlling, process.get("consoleSize"))
            take_terminal(terminal)
        else:
            take_stdio(stdio)
        gate.ready(controlling)
        gate.close_others()
        execute(process)


def _set_sysctl(name: str, value: str) -> None:
    """Set a parameter of the kernel in this process's namespaces (proc_sys(5))."""
    # As in sysctl(8), a slash stands for a dot in the name of an interface.
    path = f"/proc/sys/{name.translate(str.maketrans('./', '/.'))}"
    action = "open"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        action = "write"
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise StartFailed(
            f"unable to start container process: error during container init: {action} {path}: {reason}"
        ) from error


def _set_size(terminal: int, size: Mapping[str, int] | None) -> None:
    if size and size.get("height") and size.get("width"):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, array.array("H", (size["height"], size["width"], 0, 0)))
