"""The log of a shim's container: what the log driver keeps, written here or by a process beside the shim."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from transom.drivers.blame import describe, expect
from transom.drivers.log import LogDriver, LoggedContainer, LogWriter
from transom.errors import StartFailed
from transom.runtime.classes import find_class
from transom.runtime.streams import Loop

if TYPE_CHECKING:
    from transom.runtime.log_process import LogProcess

__all__ = ["ContainerLog", "sentence"]

#: Bytes that may wait for a driver that waits itself, before the container has to.
_BOUND = 1 << 20


def sentence(error: Exception) -> str:
    """Return what an error says, for an `OSError` without its number, for a driver's own with its name."""
    if not isinstance(error, OSError) or error.strerror is None:
        return describe(error)
    return f"{error.strerror}: {os.fsdecode(error.filename)}" if error.filename else error.strerror


class ContainerLog:
    """One container's log; `settings` is the shim's file that says what it is."""

    def __init__(self, settings: Path) -> None:
        self._settings = settings
        self._writer: LogWriter | None = None
        self._process: LogProcess | None = None
        self._complained = False

    def open(self, loop: Loop, on_change: Callable[[], None]) -> None:
        """Open the log, for a container that is about to start; `on_change` is called when `full` changes.

        Raises `StartFailed`.
        """
        settings = json.loads(self._settings.read_bytes())
        options = settings["options"]
        drops = options.get("mode") == "non-blocking"
        try:
            driver: LogDriver = find_class(settings["driver"])(
                Path(settings["directory"]), options, LoggedContainer(**settings["container"])
            )
            if drops or driver.waits:
                # Few logs need these: they are not among what every shim has.
                from transom.logs.options import parse_buffer_size
                from transom.runtime.log_process import LogProcess

                bound = parse_buffer_size(options) if drops else _BOUND
                self._process = LogProcess(loop, driver, bound=bound, drops=drops, on_change=on_change)
            else:
                self._writer = expect(driver, "open", LogWriter, driver.open())
        except Exception as error:
            raise StartFailed(
                f"failed to create task for container: failed to initialize logging driver: {sentence(error)}"
            ) from error

    @property
    def full(self) -> bool:
        """Whether the container should wait."""
        return self._process is not None and self._process.full

    def write(self, stream: str, data: bytes) -> None:
        """Keep what the container wrote, if the driver can: a full disk must not stop the container.

        One complaint, where the shim's go, is enough.
        """
        sink = self._writer or self._process
        if sink is None:
            return
        try:
            sink.write(stream, data, time.time_ns())
            self._complained = False
        except Exception:  # noqa: BLE001 a driver of anybody's
            if not self._complained:
                traceback.print_exc()
            self._complained = True

    def close(self, closed: Callable[[], None] = lambda: None) -> None:
        """Close the log if it is open, and call `closed` when all is in it."""
        writer, self._writer = self._writer, None
        process, self._process = self._process, None
        if process is not None:
            process.close(closed)
            return
        if writer is not None:
            try:
                writer.close()
            except Exception:  # noqa: BLE001 as above
                traceback.print_exc()
        closed()
