"""The log driver `json-file`: Docker's own file format, one JSON object per line."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import LogDriver

__all__ = ["transom_logdrivers"]


@hookimpl
def transom_logdrivers() -> list[type[LogDriver]]:
    from transom_jsonfile.driver import JsonFileDriver

    return [JsonFileDriver]
