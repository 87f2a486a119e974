"""The files that a build copies from and mounts: its context, and those that have names.

A context is a writable layer without a parent that nobody writes to any more, so that it is copied from and mounted as
a stage is, on any graph driver, and goes as an unfinished one does, whatever becomes of the engine.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from transom.containers.paths import resolve
from transom.dockerfile.ignore import Patterns, ignore_names
from transom.errors import CorruptContent, InvalidParameter
from transom.graph.archive import Entry, read_archive
from transom.graph.compression import decompress
from transom.graph.extract import place_below
from transom.graph.header import BLOCK, decode_header
from transom.graph.streams import stream_of
from transom.runtime.syscalls.files import openat2
from transom_builder.download import is_url, open_url
from transom_builder.git import Repository, fetch, is_repository, parse_repository
from transom_builder.options import BuildOptions
from transom_builder.reports import Reports, Step
from transom_builder.workshop import Stack, Workshop

if TYPE_CHECKING:
    from transom.job import Job

__all__ = ["Context", "Contexts", "is_archive_start", "is_session"]

_SESSION = "session://"

_CHUNK = 1 << 20
#: More of a Dockerfile is not read; what reads it refuses less than that.
_LARGEST = 32 << 20


@dataclass(frozen=True)
class Context:
    """Files that are mounted at `root`; they are the layer `layer`, or what it has in the directory `base`."""

    layer: str
    root: Path
    base: str = ""


class Contexts:
    """The contexts of one build, for the length of a `with` block."""

    def __init__(self, job: Job, options: BuildOptions, workshop: Workshop, reports: Reports) -> None:
        self._job = job
        self._options = options
        self._workshop = workshop
        self._reports = reports
        self._stack = ExitStack()
        self._main: Context | None = None
        self._root: Path | None = None
        self._failure: BaseException | None = None
        self._begun = threading.Event()
        self._loaded = threading.Event()
        self._dockerfile: bytes | None = None
        self._named: dict[str, Context] = {}
        #: What raises where the build is not to go on.
        self.check = workshop.check

    def __enter__(self) -> Contexts:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def load(self) -> None:
        """Fetch the build's own context, while another thread may wait for it, or for what is first in it.

        Raises `InvalidParameter`, and what a download raises.
        """
        try:
            with self._reports.step("[internal] load build context") as step:
                self._main = self._load(step)
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._begun.set()
            self._loaded.set()

    def main(self) -> Context:
        """Return the build's own context, when it is there. Raises what `load` raises."""
        self._loaded.wait()
        if self._main is None:
            raise self._failure or RuntimeError("the context was not loaded")
        return self._main

    def beginning(self) -> Path:
        """Return where the Dockerfile is and what the client has left out, when that is there.

        A client that sends both in a directory for the builder sends them first, and the rest may be on its way.
        """
        self._begun.wait()
        if self._options.hidden and self._root is not None and self._failure is None:
            return self._root
        return self.main().root

    def dockerfile(self) -> bytes:
        """Return the Dockerfile's content. Raises `InvalidParameter` if it is not there, and as `open_url`."""
        root, url = self.beginning(), self._options.dockerfile_url
        if url:
            with (
                self._reports.step(f"[internal] load remote build definition from {url}"),
                open_url(url) as (stream, _),
            ):
                return stream.read(_LARGEST)
        return self._dockerfile or read_file(root, self._options.dockerfile)

    def has(self, name: str) -> bool:
        """Return whether a name is that of a context of files, which `add` has made."""
        return name in self._named

    def named(self, name: str) -> Context:
        """Return the files of a context that has a name."""
        return self._named[name]

    def add(self, name: str, place: str) -> None:
        """Fetch a named context of files; a name is added once.

        `place` is `session://NAME`, or the URL of a repository or an archive.
        """
        with self._reports.step(
            f"[context {name}] load from client" if is_session(place) else f"[context {name}] {place}"
        ) as step:
            if is_session(place):
                self._named[name] = self.directory(place.removeprefix(_SESSION), step)
            else:
                self._named[name] = self._remote(place, step)

    def directory(self, name: str, step: Step) -> Context:
        """Fetch a directory of the client's by its name in the session."""
        session = self._options.session
        if session is None:
            raise InvalidParameter(f"the context {name} is the client's, which has opened no session")
        with session.context(name) as stream:
            return self.fill(self._stack, lambda _, root: self._unpack(root, stream, step))

    def fill(self, held: ExitStack, fill: Callable[[Path, int], object]) -> Context:
        """Make a context that lasts as long as a stack is open; `fill` gets its root, and a descriptor of that."""
        layer = held.enter_context(self._workshop.writable(Stack()))
        root = held.enter_context(self._workshop.mounted(layer))
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fill(root, top)
        finally:
            os.close(top)
        return Context(layer, root)

    def _load(self, step: Step) -> Context:
        source = self._job.input
        if self._options.remote:
            if source is not None:
                self._dockerfile = source.read(_LARGEST)
            return self._remote(self._options.remote, step)
        if source is None:
            raise InvalidParameter("there is nothing to build: send a context as a tar archive")
        return self.fill(self._stack, lambda path, root: self._unpack(root, source, step, self._noticing(path)))

    def _noticing(self, root: Path) -> Callable[[Iterable[Entry]], Iterator[Entry]]:
        """Return what passes entries on, and notices when those that are for the builder alone are in their places."""
        hidden = os.fsencode(self._options.hidden) + b"/"

        def passed(entries: Iterable[Entry]) -> Iterator[Entry]:
            seen = False
            for entry in entries:
                if entry.name.startswith(hidden):
                    seen = True
                elif seen and not self._begun.is_set():
                    self._root = root
                    self._begun.set()
                yield entry

        return passed

    def _remote(self, place: str, step: Step) -> Context:
        """Fetch files from elsewhere, without what their .dockerignore leaves out."""
        if is_repository(place):
            repository = parse_repository(place)
            step.status(f"fetching {repository.url}")
            context = self.fill(self._stack, lambda tree, _: fetch(repository, tree, self.check))
            context = self._below(context, repository)
        elif is_url(place):
            context = self.fill(self._stack, lambda _, root: self._download(root, place, step))
        else:
            raise InvalidParameter(
                f"unable to prepare context: {place} is neither a Git repository nor a URL with http:// or https://"
            )
        self._leave_out(context)
        return context

    def _below(self, context: Context, repository: Repository) -> Context:
        top = os.open(context.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            base = os.fsdecode(resolve(top, os.fsencode("/" + repository.directory))).strip("/")
        finally:
            os.close(top)
        if not (context.root / base).is_dir():
            raise InvalidParameter(
                f"unable to prepare context: {repository.url} has no directory {repository.directory}"
            )
        return Context(context.layer, context.root / base, base)

    def _download(self, root: int, url: str, step: Step) -> None:
        """Unpack the archive at a URL; anything else is the Dockerfile."""
        with open_url(url) as (stream, _):
            archive = decompress(cast("io.RawIOBase", stream))
            start = archive.read(BLOCK)
            if is_archive_start(start):
                self._unpack(root, stream_of(chain((start,), iter(lambda: archive.read(_CHUNK), b""))), step)
                return
            content = start + archive.read(_LARGEST)
            name = os.path.normpath("/" + self._options.dockerfile).lstrip("/")
            if "/" in name:
                raise InvalidParameter(f"failed to read dockerfile: open {name}: {url} is a single file")
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=root)
            with open(descriptor, "wb") as file:
                file.write(content)

    def _leave_out(self, context: Context) -> None:
        """Remove what the .dockerignore of a context leaves out."""
        patterns = _read_patterns(context.root, ignore_names(self._options.dockerfile))
        if patterns is not None:
            remove_matching(context.root, patterns, (self._options.dockerfile, *ignore_names(self._options.dockerfile)))

    def _unpack(
        self,
        root: int,
        stream: IO[bytes],
        step: Step,
        passed: Callable[[Iterable[Entry]], Iterable[Entry]] = lambda entries: entries,
    ) -> None:
        """Unpack an archive, compressed or not, whose files all become root's; `passed` sees them before."""
        counting = _Counting(stream, lambda size: step.status("transferring context", size))
        try:
            archive = decompress(counting)
            place_below(passed(read_archive(archive)), root, b"", owner=(0, 0), check=self.check)
            # What follows the archive is nobody's, and still has to be read before the answer.
            while archive.read(_CHUNK):
                self.check()
        except CorruptContent as error:
            raise InvalidParameter(f"cannot read the build context: {error}") from error
        step.status("transferring context", counting.size, done=True)


def _read_patterns(root: Path, names: tuple[str, ...]) -> Patterns | None:
    """Return what the first of some files that is there says is left out, None without any."""
    for name in names:
        try:
            content = read_file(root, name)
        except InvalidParameter:
            continue
        try:
            return Patterns.parse(content.decode("utf-8", "surrogateescape"))
        except ValueError as error:
            raise InvalidParameter(f"failed to parse {name}: {error}") from error
    return None


def is_session(place: str) -> bool:
    """Return whether a context is a directory of the client's."""
    return place.startswith(_SESSION)


def is_archive_start(block: bytes) -> bool:
    """Return whether an uncompressed stream that begins with this is a tar archive."""
    if len(block) < BLOCK or block.count(0) == BLOCK:
        return False
    try:
        decode_header(block)
    except CorruptContent:
        return False
    return True


def remove_matching(root: Path, patterns: Patterns, keep: tuple[str, ...]) -> None:
    """Remove the files of a tree that patterns match, and directories that are empty then, but for some names."""
    for above, directories, files in os.walk(root, topdown=False):
        for name in (*files, *directories):
            path = os.path.relpath(f"{above}/{name}", root)
            if path in keep or not patterns.matches(path):
                continue
            whole = root / path
            if whole.is_dir() and not whole.is_symlink():
                try:
                    whole.rmdir()
                except OSError as error:
                    if error.errno != errno.ENOTEMPTY:
                        raise
            else:
                whole.unlink()


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
    """Return what is in a Dockerfile of a context, by a name that is resolved beneath its root.

    Raises `InvalidParameter` where there is none that can be read.
    """
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = openat2(top, "/" + name, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidParameter(f"failed to read dockerfile: open {name}: {_reason(error)}") from error
    finally:
        os.close(top)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidParameter(f"failed to read dockerfile: {name} is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise InvalidParameter(f"failed to read dockerfile: read {name}: {_reason(error)}") from error
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return os.strerror(error.errno or 0).lower()
