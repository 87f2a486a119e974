"""Where workloads work: on trees of a graph driver, in containers, or in a plain directory and on the machine itself,
which is the limit of what a driver can reach.

All that is made here is a writable layer that belongs to no container. The engine removes those at its start, so a
crash in the middle of a comparison leaves nothing.
"""

from __future__ import annotations

import secrets
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final, Protocol

from transom.containers.model import ContainerConfig, ExecConfig, HostConfig
from transom.engine import Engine
from transom.graph.compression import decompress
from transom.graph.extract import extract
from transom.graph.model import Image, RunConfig
from transom_bench.samples import Samples, archive_stream, run_program
from transom_bench.storage import flush

__all__ = [
    "NATIVE",
    "ContainerPlace",
    "LayerPlace",
    "NativeProcesses",
    "NativeTrees",
    "Place",
    "Running",
    "TreePlace",
    "scratch",
]

#: The name of the plain directory, and of the machine itself, among the drivers.
NATIVE: Final = "native"
#: The driver whose layer without a parent is a plain directory.
_PLAIN: Final = "vfs"
#: Seconds that a container has for a program that does nothing.
_PATIENCE: Final = 120
#: A program that does nothing for longer than any workload takes.
_SLEEP: Final = ("sleep", "100000")


def _layer_name() -> str:
    return f"bench-{secrets.token_hex(8)}"


@contextmanager
def scratch(engine: Engine) -> Iterator[Path]:
    """Give an empty plain directory for the length of a `with` block."""
    with _layer(engine, _PLAIN, None) as layer, engine.layers.mounted(_PLAIN, layer) as path:
        yield path


@contextmanager
def _layer(engine: Engine, driver: str, parent: str | None) -> Iterator[str]:
    layer = engine.layers.prepare(_layer_name(), driver, parent)
    try:
        yield layer
    finally:
        # On a full disk the removal could not be recorded otherwise.
        with engine.db.freeing():
            engine.layers.remove(driver, layer)


class Running(Protocol):
    """Something that runs, in which processes can be run."""

    def execute(self, *command: str) -> None:
        """Run a command in it, and wait for its end."""


class Place(ABC):
    """One of what is compared. A tree begins with an image, if one is given, and the samples on top of it."""

    def __init__(self, engine: Engine, name: str, image: Image | None, samples: Samples) -> None:
        self.engine = engine
        self.name = name
        self.image = image
        self.samples = samples

    @abstractmethod
    def open(self, stack: ExitStack) -> None:
        """Make what all runs need; it goes with the stack."""

    @abstractmethod
    def run_nothing(self) -> None:
        """Run the program `true`, in a container where there are containers."""

    @abstractmethod
    def asleep(self) -> AbstractContextManager[Running]:
        """Run `sleep`, in a container where there are containers, for the length of a `with` block."""

    def flush(self) -> None:
        """Bring to the disk what was written before, so that it does not count as what is done next."""


class TreePlace(Place):
    """A place that has trees."""

    #: A directory of the file system that the trees are on.
    root: Path
    #: Whether a tree shares what it begins with with others.
    layered = True

    def flush(self) -> None:
        """Flush the file system."""
        flush(self.root)

    @abstractmethod
    def layer(self) -> AbstractContextManager[object]:
        """Make what a container writes to, with nothing of its own, for the length of a `with` block."""

    @abstractmethod
    def fresh(self) -> AbstractContextManager[Path]:
        """Give a writable tree for the length of a `with` block."""

    @abstractmethod
    def unpacked(self) -> AbstractContextManager[object]:
        """Unpack once more what a tree begins with, and bring it to the disk, for the length of a `with` block."""

    @abstractmethod
    def stacked(self, depth: int) -> AbstractContextManager[Path]:
        """Give a tree of so many layers, each with a file `layer<number>`, the lowest being 0."""

    def _archives(self) -> Iterator[IO[bytes]]:
        """Yield the layer archives of what a tree begins with, the lowest first."""
        for blob in self.image.blobs if self.image is not None else ():
            with self.engine.content.open(blob) as file:
                yield decompress(file)
        yield archive_stream(self.samples.layer())


class ContainerPlace(Place):
    """Containers of an image, made as `host` says."""

    def __init__(self, engine: Engine, name: str, image: Image | None, samples: Samples, host: HostConfig) -> None:
        super().__init__(engine, name, image, samples)
        self._host = host

    def open(self, stack: ExitStack) -> None:  # noqa: ARG002 the layers of an image stay
        """Unpack the image, as running it would."""
        if self.image is not None:
            self.engine.layers.ensure(self.image, self.engine.graphdriver(self._host.graphdriver))

    @contextmanager
    def container(self, *command: str) -> Iterator[str]:
        """Make a container that runs a command, and give its ID, for the length of a `with` block."""
        assert self.image is not None, "what runs containers is refused without an image"
        config = ContainerConfig(self.image.id, RunConfig(entrypoint=(), cmd=command))
        container: str = self.engine.run("create", config=config, host=self._host).id
        try:
            yield container
        finally:
            self.engine.run("remove", container=container, force=True, volumes=True)

    def run_nothing(self) -> None:
        """Create a container, start it, wait for its end, and remove it."""
        with self.container("true") as container:
            end = self.engine.run("wait", container=container, condition="next-exit")
            self.engine.run("start", container=container)
            end.result(_PATIENCE)

    @contextmanager
    def asleep(self) -> Iterator[Running]:
        """Run a container."""
        with self.container(*_SLEEP) as container:
            self.engine.run("start", container=container)
            yield _RunningContainer(self.engine, container)


class _RunningContainer:
    def __init__(self, engine: Engine, container: str) -> None:
        self._engine = engine
        self._container = container

    def execute(self, *command: str) -> None:
        """Run a command in the container, as a client does that sees what it writes."""
        config = ExecConfig(command, attach_stdout=True)
        process = self._engine.run("exec_create", container=self._container, config=config)
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._engine.run("exec_start", exec=process, connection=theirs.fileno())
            ours.settimeout(_PATIENCE)
            while ours.recv(4096):
                pass


class NativeProcesses(Place):
    """Processes of the machine, in no container."""

    def open(self, stack: ExitStack) -> None:
        """Nothing: the machine is there."""

    def run_nothing(self) -> None:
        """Run the program."""
        run_program("true")

    @contextmanager
    def asleep(self) -> Iterator[Running]:
        """Run a process beside which others are run."""
        with subprocess.Popen(_SLEEP, stdin=subprocess.DEVNULL) as process:
            try:
                yield self
            finally:
                process.kill()

    def execute(self, *command: str) -> None:
        """Run one of the others."""
        run_program(*command)


class LayerPlace(ContainerPlace, TreePlace):
    """Trees of a graph driver, and containers on it."""

    def __init__(self, engine: Engine, driver: str, image: Image | None, samples: Samples) -> None:
        super().__init__(engine, driver, image, samples, HostConfig(graphdriver=driver, network="none"))
        self.root = engine.layers.driver(driver).root
        self._base = ""

    def open(self, stack: ExitStack) -> None:
        """Unpack the image, and what trees begin with."""
        super().open(stack)
        self._base = self._fill(stack)

    def _fill(self, stack: ExitStack) -> str:
        """Make the layers of what a tree begins with, and return the topmost."""
        parent: str | None = None
        for archive in self._archives():
            parent = stack.enter_context(_layer(self.engine, self.name, parent))
            self.engine.layers.driver(self.name).apply(parent, archive)
        assert parent is not None
        return parent

    @contextmanager
    def fresh(self) -> Iterator[Path]:
        """Give a new layer on top of the others."""
        with _layer(self.engine, self.name, self._base) as layer, self.engine.layers.mounted(self.name, layer) as path:
            yield path

    def layer(self) -> AbstractContextManager[object]:
        """Make a new layer on top of the others."""
        return self.fresh()

    @contextmanager
    def unpacked(self) -> Iterator[None]:
        """Make all layers once more."""
        with ExitStack() as stack:
            self._fill(stack)
            self.engine.layers.flush(self.name)
            yield

    @contextmanager
    def stacked(self, depth: int) -> Iterator[Path]:
        """Give a layer on top of others."""
        with ExitStack() as stack:
            layer: str | None = None
            for number in range(depth):
                layer = stack.enter_context(_layer(self.engine, self.name, layer))
                with self.engine.layers.mounted(self.name, layer) as path:
                    (path / f"layer{number}").write_bytes(b"%d" % number)
            assert layer is not None
            with self.engine.layers.mounted(self.name, layer) as path:
                yield path


class NativeTrees(NativeProcesses, TreePlace):
    """Plain directories beside those of the drivers, and processes of the machine."""

    layered = False

    def open(self, stack: ExitStack) -> None:
        """Make a directory, to know the file system by."""
        self.root = stack.enter_context(scratch(self.engine))

    @contextmanager
    def fresh(self) -> Iterator[Path]:
        """Give a directory that everything was unpacked into."""
        with scratch(self.engine) as path:
            for archive in self._archives():
                extract(archive, path)
            yield path

    def layer(self) -> AbstractContextManager[object]:
        """Make an empty directory."""
        return scratch(self.engine)

    @contextmanager
    def unpacked(self) -> Iterator[None]:
        """Unpack into one more directory."""
        with self.fresh() as path:
            flush(path)
            yield

    @contextmanager
    def stacked(self, depth: int) -> Iterator[Path]:
        """Give a directory that has the files of all layers."""
        with scratch(self.engine) as path:
            for number in range(depth):
                (path / f"layer{number}").write_bytes(b"%d" % number)
            yield path
