"""Workloads of programs that people run in containers."""

from __future__ import annotations

from typing import Final

from transom_bench.places import ContainerPlace, Place, TreePlace
from transom_bench.samples import run_program
from transom_bench.workload import Measure, Values, Workload, clock, each

__all__ = ["Exec", "GitCheckout", "PipInstall", "Sqlite", "Start", "Untar"]

#: How many processes are run in a container.
_TIMES: Final = 10
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
    measures = (Measure("checkout", "check out a repository of 1500 files"),)

    def run(self, place: TreePlace) -> Values:
        """Clone into the tree."""
        source = str(self.samples.repository)
        with place.fresh() as tree:
            command = ("git", "clone", "--quiet", "--shared", source, str(tree / "clone"))
            return {"checkout": clock(lambda: run_program(*command))}

    def method(self) -> str:
        """Return the program's version."""
        return run_program("git", "--version").strip()


class PipInstall(Workload[TreePlace]):
    """pip."""

    name = "pip-install"
    measures = (Measure("install", "install a package of 300 modules from a local index, without compiling"),)

    def run(self, place: TreePlace) -> Values:
        """Install into the tree."""
        index = str(self.samples.package_index)
        with place.fresh() as tree:
            command = (
                self.samples.interpreter, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", index,
                "--no-compile", "--no-cache-dir", "--disable-pip-version-check", "--target", str(tree / "site"),
                "sample-package",
            )  # fmt: skip
            return {"install": clock(lambda: run_program(*command))}

    def method(self) -> str:
        """Return the program's version."""
        return " ".join(run_program(self.samples.interpreter, "-m", "pip", "--version").split()[:2])


class Sqlite(Workload[TreePlace]):
    """A database."""

    name = "sqlite"
    count = 100
    measures = (Measure("transactions", f"{count} transactions, each on the disk before the next begins"),)

    def run(self, place: TreePlace) -> Values:
        """Insert rows, one in each transaction."""
        with place.fresh() as tree:
            program = (self.samples.interpreter, "-I", "-c", _DATABASE, str(tree / "data.db"), str(self.count))
            return {"transactions": float(run_program(*program))}

    def method(self) -> str:
        """Return the library's version."""
        version = run_program(self.samples.interpreter, "-I", "-c", "import sqlite3; print(sqlite3.sqlite_version)")
        return f"SQLite {version.strip()}, synchronous=FULL"


class Untar(Workload[TreePlace]):
    """Unpacking sources."""

    name = "untar"
    measures = (Measure("untar", "unpack an archive of 1500 source files"),)

    def run(self, place: TreePlace) -> Values:
        """Unpack into the tree."""
        archive = str(self.samples.source_archive)
        with place.fresh() as tree:
            return {
                "untar": clock(lambda: run_program("tar", "--extract", "--file", archive, "--directory", str(tree)))
            }

    def method(self) -> str:
        """Return the program's version."""
        return run_program("tar", "--version").partition("\n")[0]


class Start(Workload[Place]):
    """A container's life."""

    name = "start"
    needs_image = True
    measures = (Measure("start", "create a container, run `true` in it, remove it"),)

    def run(self, place: Place) -> Values:
        """Run one container."""
        return {"start": clock(place.run_nothing)}


class Exec(Workload[Place]):
    """A process in a running container."""

    name = "exec"
    needs_image = True
    measures = (Measure("exec", f"run `true` {_TIMES} times in a container that runs"),)

    def run(self, place: Place) -> Values:
        """Run processes, one after the other."""
        if not isinstance(place, ContainerPlace):
            return {"exec": clock(lambda: each(lambda _: place.run_nothing(), range(_TIMES)))}
        with place.container("sleep", "1000") as container:
            place.engine.run("start", container=container)
            return {"exec": clock(lambda: each(lambda _: place.execute(container, "true"), range(_TIMES)))}
