"""A process that is killed in the middle of its work."""

from __future__ import annotations

import io
import os
import signal
from typing import IO

from transom.drivers.graph import GraphDriver
from transom.testing.archives import file, layer_archive

__all__ = ["kill_while_applying"]


class _Endless(io.RawIOBase):
    """An archive that says when its beginning was read and then gives nothing more."""

    def __init__(self, beginning: bytes, told: int) -> None:
        self._beginning = io.BytesIO(beginning)
        self._told = told

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._beginning.read(size)
        if not data:
            os.write(self._told, b".")
            signal.pause()
        return data

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def kill_while_applying(driver: GraphDriver, layer: str, parent: str) -> None:
    """Let another process make a layer and kill it in the middle of the archive."""
    members = [file(f"file-{number}", b"content") for number in range(50)]
    beginning = layer_archive(*members).read()[: -20 * 512]
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            archive: IO[bytes] = _Endless(beginning, writer)  # type: ignore[assignment]
            driver.create(layer, parent)
            driver.apply(layer, archive)
        finally:
            os._exit(1)
    os.close(writer)
    began = os.read(reader, 1)
    os.close(reader)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert began, "the process that should be killed failed before"
