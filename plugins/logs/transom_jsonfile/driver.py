"""Logs in files as Docker writes them, so that everything that reads Docker's logs reads these.

    <directory>/<container>-json.log      the newest part of the log
    <directory>/<container>-json.log.1    the part before it, and so on; with .gz where parts are compressed

Each line is {"log":"what was written\\n","stream":"stdout","time":"2024-01-31T12:00:00.123456789Z"}.
This module is loaded into every shim, so it imports little; what reads logs is loaded when it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from transom.drivers.log import Entry, LogDriver, LogWriter
from transom.errors import InvalidParameter, Unsupported

__all__ = ["JsonFileDriver", "Options"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)(i?b)?\Z", re.IGNORECASE)
_TRUTHS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
#: Options of Docker's driver that copy a container's labels or environment into each line.
_ATTRIBUTES = ("labels", "labels-regex", "env", "env-regex", "tag")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one log. `max_size` is in bytes, 0 for no limit; `max_file` counts the current file."""

    max_size: int = 0
    max_file: int = 1
    compress: bool = False

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> Options:
        """Return options from `--log-opt` values. Raises `InvalidParameter` and `Unsupported`."""
        for key in options:
            if key in _ATTRIBUTES:
                raise Unsupported(f"the log option {key!r} is not supported by the log driver json-file here")
            if key not in ("max-size", "max-file", "compress", "mode"):
                raise InvalidParameter(f"unknown log opt '{key}' for json-file log driver")
        if options.get("mode", "blocking") != "blocking":
            raise Unsupported(f"the log mode {options['mode']!r} is not supported: the log driver json-file blocks")
        parsed = cls(
            max_size=_size(options["max-size"]) if "max-size" in options else 0,
            max_file=_count(options.get("max-file", "1")),
            compress=_truth(options.get("compress", "false")),
        )
        if parsed.compress and (parsed.max_file < 2 or not parsed.max_size):
            raise InvalidParameter("compress cannot be true when max-file is less than 2 or max-size is not set")
        return parsed


def _size(text: str) -> int:
    """Return bytes from a size as Docker reads it here: `10m` is ten million."""
    match = _SIZE.match(text)
    if match is None:
        raise InvalidParameter(f"invalid max-size {text!r}: it should be a number and a unit, such as 10m")
    size = int(float(match[1]) * 1000 ** " kmgtp".index(match[2].lower() or " "))
    if size <= 0:
        raise InvalidParameter("max-size must be a positive number")
    return size


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InvalidParameter(f"invalid max-file {text!r}: it should be a whole number")
    if int(text) < 1:
        raise InvalidParameter("max-file cannot be less than 1")
    return int(text)


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTHS:
        raise InvalidParameter(f"invalid value {text!r} for compress: it should be true or false")
    return _TRUTHS[text.lower()]


class JsonFileDriver(LogDriver):
    """The log driver `json-file`."""

    name: ClassVar[str] = "json-file"
    shim_modules = ("transom_jsonfile.writer",)
    rank: ClassVar[int] = 100

    @classmethod
    def check(cls, options: Mapping[str, str]) -> None:
        Options.parse(options)

    @property
    def path(self) -> Path:
        """The newest part of the log; Docker's API calls it LogPath."""
        return self.directory / f"{self.directory.name}-json.log"

    def open(self) -> LogWriter:
        from transom_jsonfile.writer import JsonFileWriter

        return JsonFileWriter(self.path, Options.parse(self.options))

    def read(
        self,
        *,
        since: int | None = None,
        until: int | None = None,
        tail: int | None = None,
        follow: Callable[[], bool] | None = None,
    ) -> Iterator[Entry]:
        from transom_jsonfile.reader import read_log

        return read_log(self.path, since=since, until=until, tail=tail, follow=follow)
