"""The contract of log drivers: they keep what a container writes to its standard output and error.

The life of a log: `check` is asked when a container is created; at each start `open` is called in the container's shim,
and the writer gets what the container writes until `close`; the daemon makes a reader whenever a client asks, possibly
while the shim writes. The directory is the container's own and lasts as long as the container. What drivers have in
common, options, lines, files with rotation, is in `transom.logs`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from transom.drivers.base import Driver
from transom.errors import Unsupported

__all__ = ["Entry", "LogDriver", "LogReader", "LogWriter", "LoggedContainer"]


@dataclass(frozen=True, slots=True)
class LoggedContainer:
    """What a log may say of the container that it belongs to, as it was when the container started.

    `image` is the image's ID, `image_name` what the user called it, `created` nanoseconds since the epoch, `env` the
    environment as `NAME=value`.
    """

    id: str
    name: str
    image: str = ""
    image_name: str = ""
    command: tuple[str, ...] = ()
    created: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    env: tuple[str, ...] = ()


class Entry(NamedTuple):
    """One piece of a log: when (nanoseconds since the epoch), which stream ("stdout", "stderr"), what.

    `line` ends with a newline unless the writer's line went on (a part of a long line) or the stream ended.
    `attributes` are what the log's options added: labels, variables, a tag.
    """

    time: int
    stream: str
    line: bytes
    attributes: Mapping[str, str] = MappingProxyType({})


class LogWriter(ABC):
    """An open log of one container."""

    @abstractmethod
    def write(self, stream: str, data: bytes, time: int) -> None:
        """Take bytes as they came from the container at a time; where lines end is the writer's business.

        An `OSError` means that these bytes are lost; the next may be kept again.
        """

    @abstractmethod
    def close(self) -> None:
        """Write what is held back of unfinished lines, and return when all is where readers find it."""


class LogReader(ABC):
    """A place in a log, which moves on as entries are read."""

    #: Directories in which something changes when there may be more to read.
    watched: tuple[Path, ...] = ()

    @abstractmethod
    def read(self) -> Iterator[Entry]:
        """Yield the entries from this place on, in the order of writing, and end where the log ends now.

        The next call goes on from there. It never waits for a writer.
        """

    def close(self) -> None:
        """Give back what is open."""


class LogDriver(Driver):
    """Keeps logs. `options` are the container's `--log-opt` values."""

    kind = "log"

    #: Whether logs can be read again.
    readable: ClassVar[bool] = True

    #: Whether writing may have to wait for another process or machine. Such a writer gets a process of its own beside
    #: the shim, which goes on to serve its container whatever happens there.
    waits: ClassVar[bool] = False

    def __init__(self, directory: Path, options: Mapping[str, str], container: LoggedContainer) -> None:
        self.directory = directory
        self.options = options
        self.container = container

    @classmethod
    def check(cls, options: Mapping[str, str]) -> None:
        """Raise `InvalidParameter` for an option that the driver does not know or a value that is wrong.

        The options that all drivers have (`mode`, `max-buffer-size`, `cache-disabled`) are checked before and are not
        among them.
        """

    @abstractmethod
    def open(self) -> LogWriter:
        """Open the log to append to it, making it if it is not there. Raises `OSError`."""

    def reader(self, *, since: int | None = None, tail: int | None = None) -> LogReader:
        """Return a reader at the beginning of the log, or where its last `tail` lines begin.

        What was written before `since`, in nanoseconds, is of no interest: a driver need not leave it out, and may use
        that to be quick. Raises `Unsupported` if logs cannot be read.
        """
        raise Unsupported("configured logging driver does not support reading")
