"""Logs in files as Docker writes them, so that everything that reads Docker's logs reads these.

    <directory>/<container>-json.log      the newest part of the log; older ones as `transom.logs.files` says

Each line is {"log":"what was written\\n","stream":"stdout","time":"2024-01-31T12:00:00.123456789Z"}, with
"attrs":{"name":"value"} before the time where the log's options ask for labels, variables or a tag. This module is
loaded into every shim, so it imports little; what reads logs is loaded when it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from transom.drivers.log import LogDriver, LogReader, LogWriter
from transom.errors import InvalidParameter
from transom.logs.attributes import ATTRIBUTE_OPTIONS, attributes_of, check_attributes, tag_of
from transom.logs.files import ROTATION_OPTIONS, Rotation
from transom.logs.options import refuse_unknown

__all__ = ["JsonFileDriver"]


class JsonFileDriver(LogDriver):
    """The log driver `json-file`."""

    name: ClassVar[str] = "json-file"
    shim_modules = ("transom_jsonfile.writer",)
    rank: ClassVar[int] = 100

    @classmethod
    def check(cls, options: Mapping[str, str]) -> None:
        refuse_unknown(options, (*ROTATION_OPTIONS, *ATTRIBUTE_OPTIONS), cls.name)
        rotation = Rotation().changed_by(options)
        if rotation.compress and (rotation.max_file < 2 or not rotation.max_size):
            raise InvalidParameter("compress cannot be true when max-file is less than 2 or max-size is not set")
        check_attributes(options)

    @property
    def path(self) -> Path:
        """The newest part of the log; Docker's API calls it LogPath."""
        return self.directory / f"{self.directory.name}-json.log"

    def open(self) -> LogWriter:
        from transom_jsonfile.writer import JsonFileWriter

        attributes = attributes_of(self.container, self.options)
        if tag := tag_of(self.container, self.options, ""):
            attributes["tag"] = tag
        return JsonFileWriter(self.path, Rotation().changed_by(self.options), attributes)

    def reader(self, *, since: int | None = None, tail: int | None = None) -> LogReader:
        from transom.logs.parts import LogFileReader
        from transom_jsonfile.framing import JsonLines

        return LogFileReader(self.path, JsonLines(), since=since, tail=tail)
