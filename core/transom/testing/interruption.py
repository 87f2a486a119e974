"""Processes that are killed in the middle of their work."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from typing import IO, Any

from transom.drivers.graph import GraphDriver
from transom.testing.archives import file, layer_archive

__all__ = ["count_steps", "kill_at_step", "kill_while_applying", "spread"]


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


def count_steps(work: Callable[[], None]) -> int:
    """Do some work in another process and return its steps: the calls of functions, system calls among them.

    Two processes that do the same may differ by a few.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            seen = _watch(work, None)
            os.write(writer, b"%d" % seen)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    told = b"".join(iter(lambda: os.read(reader, 64), b""))
    os.close(reader)
    os.waitpid(pid, 0)
    assert told, "the work that should be interrupted failed by itself"
    return int(told)


def kill_at_step(step: int, work: Callable[[], None]) -> bool:
    """Do some work in another process, kill it at a step, and return whether it was killed before the end."""
    pid = os.fork()
    if not pid:
        try:
            _watch(work, step)
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def spread(steps: int, count: int) -> list[int]:
    """Return `count` different steps of all, from the first to the last, or all if they are fewer."""
    count = min(steps, count)
    return [1 + number * (steps - 1) // max(count - 1, 1) for number in range(count)]


def _watch(work: Callable[[], None], last: int | None) -> int:
    """Do some work and return its steps; die at one of them."""
    seen = 0

    def step(_frame: object, event: str, _argument: Any) -> None:
        nonlocal seen
        if event in ("call", "c_call"):
            seen += 1
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(step)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen
