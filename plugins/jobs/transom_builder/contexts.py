"""The files that a build copies from and mounts: its context, and those that have names.

A context is a writable layer without a parent that nobody writes to any more, so that it is copied from and mounted as
a stage is, on any graph driver, and goes as an unfinished one does, whatever becomes of the engine.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from transom.errors import CorruptContent, InvalidParameter
from transom.graph.compression import decompress
from transom.graph.extract import extract_below
from transom.runtime.syscalls.files import openat2
from transom_builder.options import BuildOptions
from transom_builder.reports import Reports, Step
from transom_builder.workshop import Stack, Workshop

if TYPE_CHECKING:
    from transom.job import Job

__all__ = ["Context", "Contexts"]

_CHUNK = 1 << 20
#: More of a Dockerfile is not read; what reads it refuses less than that.
_LARGEST = 32 << 20


@dataclass(frozen=True)
class Context:
    """Files that are mounted at `root` for as long as the build lasts; they are the layer `layer`."""

    layer: str
    root: Path


class Contexts:
    """The contexts of one build, for the length of a `with` block."""

    def __init__(self, job: Job, options: BuildOptions, workshop: Workshop, reports: Reports) -> None:
        self._job = job
        self._options = options
        self._workshop = workshop
        self._reports = reports
        self._stack = ExitStack()
        self._main: Context | None = None
        self._named: dict[str, Context] = {}

    def __enter__(self) -> Contexts:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def main(self) -> Context:
        """Return the build's own context, fetched when it is first asked for, in the thread that begins the build."""
        if self._main is None:
            with self._reports.step("[internal] load build context") as step:
                self._main = self._load(step)
        return self._main

    def has(self, name: str) -> bool:
        """Return whether a name is that of a context of files."""
        return name.lower() in self._named

    def named(self, name: str) -> Context:
        """Return the files of a context that has a name."""
        return self._named[name.lower()]

    def dockerfile(self) -> bytes:
        """Return the Dockerfile's content. Raises `InvalidParameter` if it is not there."""
        return read_file(self.main().root, self._options.dockerfile)

    def _load(self, step: Step) -> Context:
        if self._options.remote:
            raise InvalidParameter(f"unable to prepare context: unsupported remote {self._options.remote}")
        if self._job.input is None:
            raise InvalidParameter("there is nothing to build: send a context as a tar archive")
        return self.fill(lambda root: self._unpack(root, cast("IO[bytes]", self._job.input), step))

    def fill(self, fill: Callable[[int], None]) -> Context:
        """Make a context; `fill` gets the descriptor of its root."""
        layer = self._stack.enter_context(self._workshop.writable(Stack()))
        root = self._stack.enter_context(self._workshop.mounted(layer))
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fill(top)
        finally:
            os.close(top)
        return Context(layer, root)

    def _unpack(self, root: int, stream: IO[bytes], step: Step) -> None:
        """Unpack an archive, compressed or not, whose files all become root's."""
        counting = _Counting(stream, lambda size: step.status("transferring context", size))
        try:
            archive = decompress(counting)
            extract_below(archive, root, b"", owner=(0, 0), check=self._workshop.check)
            # What follows the archive is nobody's, and still has to be read before the answer.
            while archive.read(_CHUNK):
                self._workshop.check()
        except CorruptContent as error:
            raise InvalidParameter(f"cannot read the build context: {error}") from error
        step.status("transferring context", counting.size, done=True)


class _Counting(io.RawIOBase):
    """A stream that tells now and then how much of it was read."""

    _STRIDE = 1 << 20

    def __init__(self, source: IO[bytes], tell: Callable[[int], None]) -> None:
        self._source = source
        self._tell = tell
        self._told = 0
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        self.size += len(data)
        if self.size - self._told >= self._STRIDE:
            self._told = self.size
            self._tell(self.size)
        return len(data)


def read_file(root: Path, name: str) -> bytes:
    """Return what is in a Dockerfile of a context, by a name that is resolved beneath its root."""
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = openat2(top, "/" + name, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidParameter(f"failed to read dockerfile: open {name}: {_reason(error)}") from error
    finally:
        os.close(top)
    with open(descriptor, "rb") as file:
        try:
            return file.read(_LARGEST)
        except OSError as error:
            raise InvalidParameter(f"failed to read dockerfile: read {name}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return os.strerror(error.errno or 0).lower()
