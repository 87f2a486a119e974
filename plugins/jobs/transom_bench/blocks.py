"""Workloads of one large file: sequential and random reading and writing, with fio where it is installed."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from abc import abstractmethod
from pathlib import Path

from transom_bench.places import TreePlace
from transom_bench.samples import LARGE, run_program
from transom_bench.scale import bytes_of
from transom_bench.storage import forget, forgetting
from transom_bench.workload import RATE, Measure, Values, Workload

__all__ = ["Random", "Sequential"]

_PAGE = 4096
_PIECE = 1 << 20
#: How fio works: with plain system calls, always in the same order, and to the disk.
_FIO = ("--ioengine=psync", "--end_fsync=1", "--randseed=1", "--invalidate=0")


class _Blocks(Workload[TreePlace]):
    """Reading a file of the image, and writing a new one. Writing ends when it is on the disk."""

    #: Bytes of each operation.
    block: int
    prefix = ""

    @property
    @abstractmethod
    def total(self) -> int:
        """How many bytes are read or written at all."""

    def method(self) -> str:
        """Return whether fio does it, and how."""
        if not shutil.which("fio"):
            return f"own code, since fio is not installed; {forgetting(self.scale)}"
        options = f"--rw={self.prefix}read|{self.prefix}write --bs={self.block} --io_size={self.total} {' '.join(_FIO)}"
        return f"{run_program('fio', '--version').strip()} {options}; {forgetting(self.scale)}"

    def run(self, place: TreePlace) -> Values:
        """Read, then write."""
        with place.fresh() as tree:
            forget(tree / "sample", self.scale)
            read = self._rate(tree / LARGE, writing=False)
            return {"read": read, "write": self._rate(tree / "written", writing=True)}

    def _rate(self, path: Path, *, writing: bool) -> float:
        return (self._fio if shutil.which("fio") else self._own)(path, writing)

    def _fio(self, path: Path, writing: bool) -> float:
        kind = "write" if writing else "read"
        output = run_program(
            "fio", "--name=bench", f"--filename={path}", f"--rw={self.prefix}{kind}", f"--bs={self.block}",
            f"--size={self.scale.large}", f"--io_size={self.total}", *_FIO, "--output-format=json",
        )  # fmt: skip
        rate: float = json.loads(output[output.index("{") :])["jobs"][0][kind]["bw_bytes"]
        return rate

    def _own(self, path: Path, writing: bool) -> float:
        offsets = list(range(0, self.scale.large, self.block))
        if self.prefix:
            random.Random(1).shuffle(offsets)
        offsets = offsets[: self.total // self.block]
        flags = os.O_RDWR | os.O_CREAT if writing else os.O_RDONLY
        data = random.Random(3).randbytes(self.block)
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        try:
            if writing:
                os.ftruncate(descriptor, self.scale.large)
            begin = time.perf_counter()
            for offset in offsets:
                if writing:
                    os.pwrite(descriptor, data, offset)
                else:
                    os.pread(descriptor, self.block, offset)
            if writing:
                os.fsync(descriptor)
            return self.block * len(offsets) / (time.perf_counter() - begin)
        finally:
            os.close(descriptor)


class Sequential(_Blocks):
    """From the beginning to the end, in large pieces."""

    name = "sequential"
    block = _PIECE

    @property
    def total(self) -> int:
        """The whole file."""
        return self.scale.large

    def measures(self) -> tuple[Measure, ...]:
        """Return the rates."""
        size = bytes_of(self.total)
        return (
            Measure("read", f"read a file of {size} of the image, cold", RATE),
            Measure("write", f"write a new file of {size}, to the disk", RATE),
        )


class Random(_Blocks):
    """Here and there, page by page."""

    name = "random"
    block = _PAGE
    prefix = "rand"

    @property
    def total(self) -> int:
        """Some of the file's pages."""
        return self.scale.pages * _PAGE

    def measures(self) -> tuple[Measure, ...]:
        """Return the rates."""
        return (
            Measure("read", f"read {self.scale.pages} pages of a file of the image in any order, cold", RATE),
            Measure("write", f"write {self.scale.pages} pages of a new file in any order, to the disk", RATE),
        )
