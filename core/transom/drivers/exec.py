"""The contract of exec drivers: they turn an OCI runtime bundle into running processes.

One driver object serves one container. It lives in the container's shim, which is single-threaded and the
parent (or subreaper) of every process that the driver makes: the driver never waits for one, the shim does.

The life of a container. `create` builds its environment from the bundle and returns the process that will be
its init, stopped just before it becomes the user's program. `start` lets it go. `exec` adds processes. `kill`
signals the init. When the init has ended, however that came, `delete` ends what is left and undoes `create`.
A driver keeps what `delete` needs in `state`, because the object that deletes may be another one, made by the
daemon after the shim was killed.

The bundle is a directory with `config.json` (OCI runtime specification 1.1, config.md); `root.path` in it is
absolute.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from transom.drivers.base import Driver
from transom.errors import Unsupported

__all__ = ["Counters", "ExecDriver", "IoCounter", "Spawned", "Stdio"]


@dataclass(frozen=True, slots=True)
class Stdio:
    """The three file descriptors that a process gets as its 0, 1 and 2. They stay the caller's to close."""

    stdin: int
    stdout: int
    stderr: int


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process that a driver made: its ID as the shim sees it, and its terminal's controlling end if it has one."""

    pid: int
    terminal: int | None = None


@dataclass(frozen=True, slots=True)
class IoCounter:
    """How often and how much a container has read or written on one block device; `operation` is `read` or `write`."""

    major: int
    minor: int
    operation: str
    bytes: int
    operations: int


@dataclass(frozen=True, slots=True)
class Counters:
    """What a container has used since its start. Times are in nanoseconds, memory in bytes; None is not counted.

    `cpu_per_processor` is empty where only the sum is counted. `memory_details` has the kernel's own names of the
    kinds of memory (`memory.stat`), which differ between the versions of control groups. `oom_kills` is how many
    processes the kernel killed for want of memory.
    """

    cpu: int = 0
    cpu_user: int = 0
    cpu_system: int = 0
    cpu_per_processor: tuple[int, ...] = ()
    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0
    memory: int | None = None
    memory_limit: int | None = None
    memory_peak: int | None = None
    memory_failures: int | None = None
    memory_details: Mapping[str, int] = field(default_factory=dict)
    oom_kills: int = 0
    processes: int | None = None
    processes_limit: int | None = None
    io: tuple[IoCounter, ...] = ()


class ExecDriver(Driver):
    """Runs one container. Only `create`, `start`, `exec`, `kill` and `delete` must be written.

    `container` is its ID, `bundle` the directory with config.json, `state` a directory for the driver's own
    notes, which exists and is deleted by the engine after `delete`.
    """

    kind = "exec"

    #: What it isolates, by the names that config.json has for namespaces.
    namespaces: ClassVar[frozenset[str]] = frozenset()

    #: Whether it gives a program an init as its parent where config.json has the annotation `transom.init`.
    inits: ClassVar[bool] = False

    def __init__(self, container: str, bundle: Path, state: Path) -> None:
        self.container = container
        self.bundle = bundle
        self.state = state

    @abstractmethod
    def create(self, stdio: Stdio) -> Spawned:
        """Build the container and return its init, which waits for `start`.

        Where `process.terminal` is set, the process gets a new pseudo-terminal from the container's own
        devpts instead of `stdio`, and its controlling end is returned. Nothing is left if this raises.
        Raises `StartFailed`.
        """

    @abstractmethod
    def start(self) -> None:
        """Let the init become the user's program. Raises `StartFailed` (exit code 126 or 127) if it cannot."""

    @abstractmethod
    def exec(self, process: dict[str, Any], stdio: Stdio) -> Spawned:
        """Start one more process in the running container and return it.

        `process` has the shape of `process` in config.json. Raises `StartFailed`.
        """

    @abstractmethod
    def kill(self, signal: int) -> None:
        """Send a signal to the container's init, which SIGKILL ends even while paused. Harmless if it has ended."""

    @abstractmethod
    def delete(self) -> None:
        """End every process of the container and undo `create`. Harmless if there is nothing to undo."""

    def pause(self) -> None:
        """Stop all processes of the container where they are."""
        raise Unsupported(f"the exec driver {self.name} cannot pause containers")

    def resume(self) -> None:
        """Let the processes of a paused container go on."""
        raise Unsupported(f"the exec driver {self.name} cannot pause containers")

    def update(self, resources: dict[str, Any]) -> None:
        """Change the limits of a running container; `resources` has the shape of `linux.resources`."""
        raise Unsupported(f"the exec driver {self.name} cannot change the resources of containers")

    def processes(self) -> list[int]:
        """Return the IDs of the container's processes, as the shim sees them."""
        raise Unsupported(f"the exec driver {self.name} does not know the processes of containers")

    def stats(self) -> Counters:
        """Return what the running container has used."""
        raise Unsupported(f"the exec driver {self.name} does not measure containers")
