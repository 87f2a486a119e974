"""The contract of log drivers: they keep what a container writes to its standard output and error.

`open` is called in the container's shim, `read` in the daemon, possibly while the shim writes. The directory is
the container's own and lasts as long as the container.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from transom.drivers.base import Driver
from transom.errors import Unsupported

__all__ = ["Entry", "LogDriver", "LogWriter"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One piece of a log: when (nanoseconds since the epoch), which stream ("stdout", "stderr"), what.

    `line` ends with a newline unless the writer's line went on (a part of a long line) or the stream ended.
    """

    time: int
    stream: str
    line: bytes


class LogWriter(ABC):
    """An open log of one container."""

    @abstractmethod
    def write(self, stream: str, data: bytes) -> None:
        """Take bytes as they came from the container; where lines end is the writer's business."""

    @abstractmethod
    def flush(self) -> None:
        """Write what is held back of unfinished lines, because the stream has ended or the reader waits."""

    @abstractmethod
    def close(self) -> None:
        """Flush and close."""


class LogDriver(Driver):
    """Keeps logs. `options` are the container's `--log-opt` values."""

    def __init__(self, directory: Path, options: Mapping[str, str]) -> None:
        self.directory = directory
        self.options = options

    @classmethod
    def check(cls, options: Mapping[str, str]) -> None:
        """Raise `InvalidParameter` for an option that the driver does not know or a value that is wrong."""

    @abstractmethod
    def open(self) -> LogWriter:
        """Open the log to append to it, making it if it is not there."""

    def read(
        self,
        *,
        since: int | None = None,
        until: int | None = None,
        tail: int | None = None,
        follow: Callable[[], bool] | None = None,
    ) -> Iterator[Entry]:
        """Yield entries in the order of writing.

        `since` and `until` are inclusive times in nanoseconds, `tail` the number of last lines to begin with.
        With `follow` the iterator waits for more at the end of the log for as long as `follow()` is true, and
        then yields what is left. Raises `Unsupported` by drivers that only write.
        """
        raise Unsupported(f"configured logging driver does not support reading: {self.name}")
