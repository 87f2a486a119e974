"""What the numbers of a comparison depend on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from transom import __version__
from transom.engine import Engine
from transom.graph.model import Image
from transom_bench.storage import describe

__all__ = ["describe_machine"]


def describe_machine(engine: Engine, kind: str, drivers: Sequence[str], image: Image | None) -> dict[str, str]:
    """Return what there is, by what it is: the machine, versions, and where the data of the drivers are."""
    shelf = engine.catalog.graph if kind == "graph" else engine.catalog.exec
    origins = {driver.name: f"{driver.distribution} {driver.version}" for driver in shelf.describe()}
    facts = {
        "Transom": __version__,
        "Kernel": f"{os.uname().sysname} {os.uname().release}",
        "Machine": os.uname().machine,
        "Processor": _line("/proc/cpuinfo", "model name"),
        "Processors": str(os.cpu_count()),
        "Memory": _line("/proc/meminfo", "MemTotal"),
        "Python": platform.python_version(),
        "Data root": f"{engine.config.data_root}, {describe(engine.config.data_root)}",
        "Load at the end": "{:.2f} {:.2f} {:.2f}".format(*os.getloadavg()),
    }
    if image is not None:
        facts["Image"] = f"{image.id}, {len(image.diff_ids)} layers"
    for name in drivers:
        where = describe(shelf.root(name)) if kind == "graph" else ""
        facts[f"Driver {name}"] = ", ".join(part for part in (origins.get(name, "").strip(), where) if part)
    return facts


def _line(path: str, name: str) -> str:
    lines = Path(path).read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "not known")
