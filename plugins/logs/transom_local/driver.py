"""Logs in the binary format of Docker's driver `local`.

    <directory>/local-logs/container.log    the newest part of the log; older ones as `transom.logs.files` says

`transom_local.format` says what is in it. This module and the writer's are loaded into shims, so they import little.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from transom.drivers.log import LogDriver, LogReader, LogWriter
from transom.errors import InvalidParameter
from transom.logs.attributes import ATTRIBUTE_OPTIONS, attributes_of, check_attributes, tag_of
from transom.logs.files import ROTATION_OPTIONS, Rotation

__all__ = ["LocalDriver"]

_ROTATION = Rotation(max_size=20 << 20, max_file=5, compress=True)


class LocalDriver(LogDriver):
    """The log driver `local`."""

    name: ClassVar[str] = "local"
    shim_modules = ("transom_local.writer",)
    rank: ClassVar[int] = 50

    @classmethod
    def check(cls, options: Mapping[str, str]) -> None:
        for option in options:
            if option not in ROTATION_OPTIONS and option not in ATTRIBUTE_OPTIONS:
                raise InvalidParameter(f"unknown log opt '{option}' for log driver {cls.name}")
        rotation = _ROTATION.changed_by(options)
        if rotation.compress and rotation.max_file < 2:
            raise InvalidParameter("compression cannot be enabled when max file count is 1")
        check_attributes(options)

    @property
    def path(self) -> Path:
        """The newest part of the log."""
        return self.directory / "local-logs" / "container.log"

    def open(self) -> LogWriter:
        from transom_local.writer import LocalWriter

        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        attributes = attributes_of(self.container, self.options)
        if tag := tag_of(self.container, self.options, ""):
            attributes["tag"] = tag
        return LocalWriter(self.path, _ROTATION.changed_by(self.options), attributes)

    def reader(self, *, since: int | None = None, tail: int | None = None) -> LogReader:
        from transom.logs.parts import LogFileReader
        from transom_local.framing import Records

        return LogFileReader(self.path, Records(), since=since, tail=tail)
