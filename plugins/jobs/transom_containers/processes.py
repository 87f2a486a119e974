"""The job `top`: a container's processes as the machine's ps(1) shows them."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from transom.containers.model import ProcessList
from transom.containers.states import check_running
from transom.errors import InvalidParameter, Unavailable, Unsupported

if TYPE_CHECKING:
    from collections.abc import Collection

    from transom.engine import Engine
    from transom.job import Job

__all__ = ["top"]

#: An option of ps that gives a column the heading PID would have other numbers taken for process IDs.
_FALSE_PID = re.compile(r"\s+([^\s]*)=\s*(PID[^\s]*)", re.ASCII)
_BLANKS = re.compile(r"[\t\n\f\r ]+")
#: Seconds; ps reads all processes of the machine, and one may hang.
_PATIENCE = 30


def top(engine: Engine, _job: Job, *, container: str, arguments: str = "") -> ProcessList:
    """Return the processes of a container, in the columns that `arguments` ask of ps; without any those of `-ef`.

    ps is the machine's, since a container may have none: it is asked for the container's processes alone, or for what
    the arguments say where they cannot be combined with that. Raises `Conflict` if nothing runs, `InvalidParameter` for
    arguments that ps refuses or that do not show process IDs.
    """
    words = (arguments or "-ef").split(" ")
    for name, heading in _FALSE_PID.findall(f" {arguments}"):
        if name != "pid":
            raise InvalidParameter(f'specifying "{name}={heading}" is not allowed')
    found = engine.containers.get(container)
    check_running(found)
    processes: list[int] = engine.supervisor.shims.request(found.id, "processes")["processes"]
    only = f"-q{','.join(map(str, processes))}"
    done = _ps([*words, only])
    if done.returncode:
        done = _ps(words)
    if done.returncode:
        reason = done.stderr.partition("\n")[0] or f"it exited with {done.returncode}"
        raise InvalidParameter(f"ps: {reason}")
    listed = _parse(done.stdout, frozenset(processes))
    engine.supervisor.record(found, "top")
    return listed


def _ps(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["ps", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE,
        )
    except FileNotFoundError:
        raise Unsupported("top needs the program ps on the machine: install procps") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"ps did not end within {_PATIENCE} seconds") from None


def _parse(output: str, wanted: Collection[int]) -> ProcessList:
    """Return the lines of ps's table that are about some processes, and the lines of their threads (option `m`)."""
    heading, *lines = output.split("\n")
    titles = _fields(heading)
    if "PID" not in titles:
        raise InvalidParameter("Couldn't find PID field in ps output")
    column = titles.index("PID")
    rows: list[tuple[str, ...]] = []
    belongs = False
    for line in lines:
        fields = _fields(line)
        if len(fields) <= column:
            continue
        if fields[column] != "-":
            if not fields[column].isdecimal():
                raise InvalidParameter(f"Unexpected pid '{fields[column]}' in the output of ps")
            belongs = int(fields[column]) in wanted
        if belongs:
            last = len(titles) - 1
            rows.append((*fields[:last], " ".join(fields[last:])))
    return ProcessList(tuple(titles), tuple(rows))


def _fields(line: str) -> list[str]:
    return [field for field in _BLANKS.split(line) if field]
