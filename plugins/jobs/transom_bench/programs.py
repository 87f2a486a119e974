"""Workloads of programs that people run in containers."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from transom_bench.places import Place, TreePlace
from transom_bench.samples import run_program
from transom_bench.workload import BYTES, Measure, Values, Workload, clock

__all__ = ["Containers", "Exec", "GitCheckout", "PipInstall", "Sqlite", "Start", "Untar"]

#: How pip works: by itself, and without what takes the processor's time.
_PIP: Final = ("--quiet", "--no-index", "--no-compile", "--no-cache-dir", "--disable-pip-version-check")
#: What a program with a database does: the database is a program's own, as any other in a container.
_DATABASE: Final = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA synchronous = FULL")
database.execute("CREATE TABLE rows (number INTEGER, text TEXT)")
begin = time.perf_counter()
for number in range(int(sys.argv[2])):
    database.execute("INSERT INTO rows VALUES (?, ?)", (number, "x" * 100))
print(time.perf_counter() - begin)
"""


class GitCheckout(Workload[TreePlace]):
    """git."""

    name = "git-checkout"

    def measures(self) -> tuple[Measure, ...]:
        """Return the time."""
        return (Measure("checkout", f"check out a repository of {self.scale.sources} files"),)

    def run(self, place: TreePlace) -> Values:
        """Clone into the tree."""
        source = str(self.samples.repository)
        with place.fresh() as tree:
            command = ("git", "clone", "--quiet", "--shared", source, str(tree / "clone"))
            return {"checkout": clock(lambda: run_program(*command))}

    def method(self) -> str:
        """Return the program's version, and what it is told."""
        return f"{run_program('git', '--version').strip()}: git clone --quiet --shared"


class PipInstall(Workload[TreePlace]):
    """pip."""

    name = "pip-install"

    def measures(self) -> tuple[Measure, ...]:
        """Return the time."""
        about = f"install a package of {self.scale.modules} modules from a local index, without compiling"
        return (Measure("install", about),)

    def run(self, place: TreePlace) -> Values:
        """Install into the tree."""
        index = str(self.samples.package_index)
        with place.fresh() as tree:
            command = (self.samples.interpreter, "-m", "pip", "install", *_PIP, "--find-links", index)
            target = ("--target", str(tree / "site"), "sample-package")
            return {"install": clock(lambda: run_program(*command, *target))}

    def method(self) -> str:
        """Return the program's version, and what it is told."""
        version = run_program(self.samples.interpreter, "-m", "pip", "--version").split()[:2]
        return f"{' '.join(version)}: pip install {' '.join(_PIP)}"


class Sqlite(Workload[TreePlace]):
    """A database."""

    name = "sqlite"

    def measures(self) -> tuple[Measure, ...]:
        """Return the time."""
        about = f"{self.scale.transactions} transactions, each on the disk before the next begins"
        return (Measure("transactions", about),)

    def run(self, place: TreePlace) -> Values:
        """Insert rows, one in each transaction."""
        with place.fresh() as tree:
            program = (
                self.samples.interpreter,
                "-I",
                "-c",
                _DATABASE,
                str(tree / "data.db"),
                str(self.scale.transactions),
            )
            return {"transactions": float(run_program(*program))}

    def method(self) -> str:
        """Return the library's version."""
        version = run_program(self.samples.interpreter, "-I", "-c", "import sqlite3; print(sqlite3.sqlite_version)")
        return f"SQLite {version.strip()}, synchronous=FULL"


class Untar(Workload[TreePlace]):
    """Unpacking sources."""

    name = "untar"

    def measures(self) -> tuple[Measure, ...]:
        """Return the time."""
        return (Measure("untar", f"unpack an archive of {self.scale.sources} source files"),)

    def run(self, place: TreePlace) -> Values:
        """Unpack into the tree."""
        archive = str(self.samples.source_archive)
        with place.fresh() as tree:
            return {
                "untar": clock(lambda: run_program("tar", "--extract", "--file", archive, "--directory", str(tree)))
            }

    def method(self) -> str:
        """Return the program's version, and what it is told."""
        return f"{run_program('tar', '--version').partition(chr(10))[0]}: tar --extract"


class Start(Workload[Place]):
    """A container's life."""

    name = "start"
    needs_image = True

    def measures(self) -> tuple[Measure, ...]:
        """Return the time."""
        return (Measure("start", "create a container, run `true` in it, remove it"),)

    def run(self, place: Place) -> Values:
        """Run one container."""
        return {"start": clock(place.run_nothing)}


class Exec(Workload[Place]):
    """A process in a running container."""

    name = "exec"
    needs_image = True

    def measures(self) -> tuple[Measure, ...]:
        """Return the time."""
        return (Measure("exec", f"run `true` {self.scale.processes} times in a container that runs"),)

    def run(self, place: Place) -> Values:
        """Run processes, one after the other."""
        with place.asleep() as running:
            return {"exec": clock(lambda: self.each(lambda _: running.execute("true"), range(self.scale.processes)))}


class Containers(Workload[Place]):
    """Several containers of one image at the same time."""

    name = "containers"
    needs_image = True

    def measures(self) -> tuple[Measure, ...]:
        """Return a time and a size."""
        count = self.scale.containers
        return (
            Measure("start", f"start {count} containers that sleep, one after the other"),
            Measure("memory", f"memory of {count} containers that sleep, and of what serves them (Pss)", BYTES),
        )

    def run(self, place: Place) -> Values:
        """Start them, and look at the memory."""
        before = _memory()
        with ExitStack() as stack:
            start = clock(
                lambda: self.each(lambda _: stack.enter_context(place.asleep()), range(self.scale.containers))
            )
            return {"start": start, "memory": max(0, _memory() - before)}


def _memory() -> int:
    """Return the bytes of memory of the processes that this one has started, and those have, what is shared in parts.

    That is the proportional set size (proc_pid_smaps(5)). Those that end meanwhile are left out.
    """
    children: dict[str, list[str]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            children.setdefault(_field(process / "status", "PPid"), []).append(process.name)
    waiting, total = [str(os.getpid())], 0
    while waiting:
        found = children.get(waiting.pop(), [])
        waiting += found
        for name in found:
            with suppress(OSError):
                total += int(_field(Path("/proc", name, "smaps_rollup"), "Pss")) << 10
    return total


def _field(path: Path, name: str) -> str:
    """Return the first word of a line that begins with a name and a colon."""
    lines = (line.split() for line in path.read_text().splitlines())
    return next((words[1] for words in lines if words[0] == f"{name}:"), "0")
