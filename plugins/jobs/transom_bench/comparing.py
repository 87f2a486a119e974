"""The job `driver_compare`: workloads on several drivers in turn, again and again, and what came of it."""

from __future__ import annotations

import difflib
import fcntl
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from transom.containers.model import HostConfig
from transom.engine import Engine
from transom.errors import Cancelled, Conflict, InvalidParameter, StorageFull, TransomError
from transom.graph.model import Image
from transom.job import Job
from transom_bench.machine import describe_machine
from transom_bench.places import NATIVE, ContainerPlace, LayerPlace, NativeProcesses, NativeTrees, Place, scratch
from transom_bench.results import Comparison, Result
from transom_bench.samples import Samples
from transom_bench.scale import FULL, QUICK
from transom_bench.workload import Workload
from transom_bench.workloads import EXEC_WORKLOADS, GRAPH_WORKLOADS

__all__ = ["driver_compare", "turns"]

_MOST_RUNS: Final = 100


def driver_compare(
    engine: Engine,
    job: Job,
    *,
    drivers: Sequence[str],
    kind: str = "graph",
    image: str = "",
    workloads: Sequence[str] = (),
    runs: int = 3,
    quick: bool = False,
) -> Comparison:
    """Compare drivers of a kind, `graph` or `exec`, and a plain directory, or plain processes, beside them.

    Without `workloads` all are done, those that run containers only if there is an `image`; if `quick`, a little of
    each. What a driver cannot do is a failure in the result, not of the job.

    Raises `NotFound` and `DriverUnavailable` for drivers, `NotFound` for the image, `InvalidParameter` for all
    else that cannot be, and `Conflict` while another comparison goes on.
    """
    if not 1 <= runs <= _MOST_RUNS:
        raise InvalidParameter(f"invalid number of runs {runs}: it should be from 1 to {_MOST_RUNS}")
    _check_drivers(engine, kind, drivers)
    found = engine.images.get(image) if image else None
    chosen = _choose(kind, workloads, found)
    with _alone(engine), ExitStack() as stack:
        job.progress("Preparing")
        samples = Samples(stack.enter_context(scratch(engine)), QUICK if quick else FULL)
        places = _places(engine, kind, drivers, found, samples)
        for place in places:
            job.check()
            place.open(stack)
        begun = datetime.now(UTC)
        results = _run(job, [workload(samples, job.check) for workload in chosen], places, runs)
        machine = {"Begun": f"{begun:%Y-%m-%d %H:%M:%S} UTC", **describe_machine(engine, kind, drivers, found)}
    comparison = Comparison(kind, drivers, image, runs, quick, machine, results)
    job.tell(**comparison.fields(NATIVE))
    return comparison


def _check_drivers(engine: Engine, kind: str, drivers: Sequence[str]) -> None:
    if kind not in ("graph", "exec"):
        raise InvalidParameter(
            f"drivers of the kind {kind!r} cannot be compared: only those of the kinds graph and exec"
        )
    if not drivers:
        raise InvalidParameter("no driver to compare: give at least one name")
    twice = [name for name in drivers if drivers.count(name) > 1]
    if twice:
        raise InvalidParameter(f"the driver {twice[0]!r} is given twice")
    if NATIVE in drivers:
        raise InvalidParameter(f"{NATIVE} is always compared, and is no driver: leave it out")
    shelf = engine.catalog.graph if kind == "graph" else engine.catalog.exec
    for name in drivers:
        shelf.get(name)


def _choose(kind: str, names: Sequence[str], image: Image | None) -> list[type[Workload[Any]]]:
    known = {workload.name: workload for workload in (GRAPH_WORKLOADS if kind == "graph" else EXEC_WORKLOADS)}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
            raise InvalidParameter(f"no workload for {kind} drivers is named {name!r}; {hint}")
        if known[name].needs_image and image is None:
            raise InvalidParameter(f"the workload {name!r} runs containers: give an image")
    chosen = [workload for workload in known.values() if workload.name in names or not names]
    chosen = [workload for workload in chosen if image is not None or not workload.needs_image]
    if not chosen:
        raise InvalidParameter(f"comparing {kind} drivers runs containers: give an image")
    return chosen


def _places(engine: Engine, kind: str, drivers: Sequence[str], image: Image | None, samples: Samples) -> list[Place]:
    if kind == "graph":
        return [
            *(LayerPlace(engine, name, image, samples) for name in drivers),
            NativeTrees(engine, NATIVE, image, samples),
        ]
    # Not every exec driver isolates the network.
    hosts = [HostConfig(execdriver=name, network="host") for name in drivers]
    return [
        *(ContainerPlace(engine, host.execdriver, image, samples, host) for host in hosts),
        NativeProcesses(engine, NATIVE, image, samples),
    ]


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Raise `Conflict` if another comparison goes on: both would measure each other."""
    descriptor = os.open(engine.config.data_root / "comparison.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Conflict("another comparison of drivers goes on: wait for its end") from None
    finally:
        os.close(descriptor)


def _run(job: Job, workloads: Sequence[Workload[Any]], places: Sequence[Place], runs: int) -> list[Result]:
    """Do each workload on each place in turn, and all of that again, in the orders of `turns`."""
    found = {workload: _begin(workload) for workload in workloads}
    done = 0
    for number in range(runs):
        for workload in workloads:
            for place in (places[index] for index in turns(len(places), number)):
                job.check()
                done += 1
                status = f"Run {number + 1} of {runs}: {workload.name} on {place.name}"
                job.progress(status, current=done, total=runs * len(workloads) * len(places))
                _measure(workload, place, found[workload])
    return [result for results in found.values() for result in results.values()]


def turns(count: int, run: int) -> list[int]:
    """Return in which order so many take turns in a run.

    In as many runs as there are of them each has every turn once, and in twice as many each comes equally often after
    every other one (Latin squares as Williams balanced them), so that what one leaves behind for the next meets all.
    """
    zigzag = [(step + 1) // 2 if step % 2 else (count - step // 2) % count for step in range(count)]
    order = [(index + run) % count for index in zigzag]
    return order[::-1] if run // count % 2 else order


def _begin(workload: Workload[Any]) -> dict[str, Result]:
    try:
        method = workload.method()
    except TransomError as error:
        method = str(error)
    return {measure.name: Result(workload.name, measure, method) for measure in workload.measures()}


def _measure(workload: Workload[Any], place: Place, results: dict[str, Result]) -> None:
    if any(place.name in result.failures for result in results.values()):
        return
    try:
        place.flush()
        values = workload.run(place)
    except (Cancelled, StorageFull):
        raise
    except (OSError, TransomError, subprocess.TimeoutExpired, TimeoutError) as error:
        for result in results.values():
            result.failures[place.name] = str(error)
        return
    for name, value in values.items():
        results[name].values.setdefault(place.name, []).append(value)
