"""Where workloads work: on trees of a graph driver, in containers, or in a plain directory and on the machine itself,
which is the limit of what a driver can reach.

All that is made here is a writable layer that belongs to no container. The engine removes those at its start, so a
crash in the middle of a comparison leaves nothing.
"""

from __future__ import annotations

import os
import secrets
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from transom.containers.model import ContainerConfig, ExecConfig, HostConfig
from transom.engine import Engine
from transom.graph.compression import decompress
from transom.graph.extract import extract
from transom.graph.model import Image, RunConfig
from transom.runtime.syscalls.files import syncfs
from transom_bench.samples import Samples, archive_stream, run_program

__all__ = [
    "NATIVE",
    "ContainerPlace",
    "LayerPlace",
    "NativeProcesses",
    "NativeTrees",
    "Place",
    "TreePlace",
    "flush",
    "scratch",
]

#: The name of the plain directory, and of the machine itself, among the drivers.
NATIVE: Final = "native"
#: The driver whose layer without a parent is a plain directory.
_PLAIN: Final = "vfs"
#: Seconds that a container has for a program that does nothing.
_PATIENCE: Final = 120


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
        engine.layers.remove(driver, layer)


def flush(tree: Path) -> None:
    """Bring all that is written to a tree's file system to the disk."""
    descriptor = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syncfs(descriptor)
    finally:
        os.close(descriptor)


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


class TreePlace(Place):
    """A place that has trees."""

    #: A directory of the file system that the trees are on.
    root: Path

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

    def execute(self, container: str, *command: str) -> None:
        """Run a command in a running container, and wait for its end."""
        process = self.engine.run("exec_create", container=container, config=ExecConfig(command, attach_stdout=True))
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self.engine.run("exec_start", exec=process, connection=theirs.fileno())
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
