"""How much each workload does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FULL", "QUICK", "Scale", "bytes_of"]


@dataclass(frozen=True)
class Scale:
    """The numbers and sizes of what workloads work with."""

    #: Small files of the image, the bytes of its large one, and how many pages are read or written here and there.
    small_files: int = 2000
    large: int = 32 << 20
    pages: int = 2048
    #: Files that are made, renamed, deleted.
    files: int = 10_000
    #: Files of a source tree, and modules of a package.
    sources: int = 1500
    modules: int = 300
    transactions: int = 100
    #: Layers on top of each other, and how many files are read from them.
    depths: tuple[int, ...] = (1, 8, 32, 127)
    reads: int = 2000
    #: Trees and containers at the same time, and processes one after the other.
    trees: int = 4
    containers: int = 8
    processes: int = 10
    #: Whether the whole machine's caches are dropped, where they can be.
    drop_caches: bool = True


FULL: Final = Scale()
#: A little of everything, to see whether and how all of it works; what it measures is mostly noise.
QUICK: Final = Scale(100, 1 << 20, 64, 200, 40, 10, 5, (1, 4), 50, 2, 2, 2, drop_caches=False)


def bytes_of(size: int) -> str:
    """Return a size of whole mebibytes as people read it."""
    return f"{size >> 20} MiB"
