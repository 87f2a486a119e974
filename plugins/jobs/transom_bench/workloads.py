"""All workloads, in the order in which they are shown. Whoever adds one lists it here."""

from __future__ import annotations

from typing import Any, Final

from transom_bench.blocks import Random, Sequential
from transom_bench.files import CopyUp, Depth, Disk, Layer, Metadata, Sharing, SmallFiles, Unpack
from transom_bench.programs import Containers, Exec, GitCheckout, PipInstall, Sqlite, Start, Untar
from transom_bench.workload import Workload

__all__ = ["EXEC_WORKLOADS", "GRAPH_WORKLOADS"]

#: Those that compare graph drivers, and those that compare exec drivers.
GRAPH_WORKLOADS: Final[tuple[type[Workload[Any]], ...]] = (
    Unpack,
    Layer,
    Start,
    SmallFiles,
    Sequential,
    Random,
    CopyUp,
    Metadata,
    Untar,
    GitCheckout,
    PipInstall,
    Sqlite,
    Depth,
    Sharing,
    Containers,
    Disk,
)
EXEC_WORKLOADS: Final[tuple[type[Workload[Any]], ...]] = (Start, Exec, Containers)
