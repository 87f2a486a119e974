"""Which comparisons are refused, how the drivers take turns, and what is said of the values."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from transom.errors import Cancelled, Conflict, InvalidParameter, NotFound, StorageFull
from transom.job import Aux, Job, Progress
from transom_bench import comparing
from transom_bench.comparing import driver_compare, turns
from transom_bench.places import NATIVE
from transom_bench.results import Standing, median, spread, standing, verdict
from transom_bench.samples import MissingProgram, Samples
from transom_bench.scale import FULL, QUICK
from transom_bench.workload import BYTES, RATE, Measure, Workload
from transom_bench.workloads import EXEC_WORKLOADS, GRAPH_WORKLOADS

SECONDS_OF = Measure("work", "do the work")
SIZE_OF = Measure("work", "do the work", BYTES)
RATE_OF = Measure("work", "do the work", RATE)


@pytest.mark.parametrize(
    ("measure", "values", "sentence"),
    [
        (SECONDS_OF, {"a": [1, 1, 1.1], "b": [3, 3, 3.3]}, "a wins: it is 3 times as fast as b."),
        (
            SECONDS_OF,
            {"a": [1, 1, 1], "b": [1.2, 1.2, 1.2], NATIVE: [0.5]},
            "a wins: it is 20% faster than b. a takes 2 times what native does.",
        ),
        (
            RATE_OF,
            {"a": [10, 10, 10], "b": [40, 40, 40], NATIVE: [80]},
            "b wins: it is 4 times as fast as a. b reaches 50% of what native does.",
        ),
        (SIZE_OF, {"a": [10, 10, 10], "b": [25, 25, 25]}, "a wins: b takes 2.5 times as much."),
        (SIZE_OF, {"a": [10, 10, 10], "b": [11, 11, 11]}, "a wins: b takes 10% more."),
        (SECONDS_OF, {"a": [1, 2, 3], "b": [2, 3, 4]}, "a and b cannot be told apart: their values overlap."),
        (
            SECONDS_OF,
            {"a": [1, 2, 3], "b": [3, 3, 4], "c": [3, 4, 5], "d": [9, 9, 9]},
            "a, b and c cannot be told apart: their values overlap.",
        ),
        (RATE_OF, {"a": [1, 2, 3], "b": [3, 3, 4]}, "b and a cannot be told apart: their values overlap."),
        (
            SECONDS_OF,
            {"a": [1, 1], "b": [3, 3], "c": [2, 2]},
            "a is first and b last, but fewer than 3 runs tell nobody apart.",
        ),
        (SECONDS_OF, {"a": [0, 0, 0], "b": [2, 4, 3]}, "a wins: it needs nothing."),
        (SECONDS_OF, {"a": [3], NATIVE: [2]}, "a takes 1.5 times what native does."),
        (SECONDS_OF, {"a": [3]}, "a alone could be measured."),
        (SECONDS_OF, {"a": [], NATIVE: [2]}, "No driver could do this."),
    ],
)
def test_a_sentence_says_who_wins_and_by_how_much(measure: Measure, values: Any, sentence: str) -> None:
    assert verdict(measure, values, NATIVE) == sentence


def test_programs_are_told_the_order_and_whether_the_first_is_apart() -> None:
    values = {"a": [2, 2, 2], "b": [1, 1, 1], NATIVE: [0.1]}
    assert standing(SECONDS_OF, values, NATIVE) == Standing(("b", "a"), True, 2.0)
    assert standing(SECONDS_OF, {**values, "b": [1, 1, 3]}, NATIVE) == Standing(("b", "a"), False, 2.0)
    assert standing(SECONDS_OF, {"a": [1]}, NATIVE) == Standing(("a",), False, None)


@pytest.mark.parametrize("count", range(2, 8))
def test_in_turns_each_is_first_once_and_comes_equally_often_after_every_other_one(count: int) -> None:
    orders = [turns(count, run) for run in range(2 * count)]
    assert all(sorted(order) == list(range(count)) for order in orders)
    assert sorted(order[0] for order in orders[:count]) == list(range(count))
    after = Counter(pair for order in orders for pair in itertools.pairwise(order))
    assert len(set(after.values())) == 1
    assert len(after) == count * (count - 1)


def test_the_spread_is_a_part_of_the_median() -> None:
    assert (median([3, 1, 2]), spread([3, 1, 2]), spread([0, 0])) == (2, 1.0, 0.0)


class Place:
    """A place that notes what is done on it."""

    def __init__(self, name: str, done: list[str]) -> None:
        self.name = name
        self.done = done

    def open(self, stack: ExitStack) -> None:
        stack.callback(self.done.append, f"{self.name} gone")

    def flush(self) -> None:
        """What is before does not count."""


class Work(Workload[Any]):
    name = "work"
    failure: BaseException | None = None

    def measures(self) -> tuple[Measure, ...]:
        return (SECONDS_OF,)

    def run(self, place: Any) -> dict[str, float]:
        place.done.append(place.name)
        if self.failure is not None and place.name == "b":
            raise self.failure
        return {"work": float(len(place.done))}


@pytest.fixture
def done() -> list[str]:
    return []


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: list[str]) -> Any:
    """An engine with the graph drivers a and b, and a workload that fails if it is told to."""

    def shelf(name: str) -> None:
        if name not in ("a", "b"):
            raise NotFound(f"no graph driver is named {name!r}")

    def places(_engine: Any, _kind: str, drivers: Sequence[str], *_: Any) -> list[Place]:
        return [Place(name, done) for name in (*drivers, NATIVE)]

    monkeypatch.setattr(comparing, "_places", places)
    monkeypatch.setattr(comparing, "scratch", lambda _engine: nullcontext(tmp_path))
    monkeypatch.setattr(comparing, "describe_machine", lambda *_: {})
    monkeypatch.setattr(comparing, "GRAPH_WORKLOADS", (Work, *GRAPH_WORKLOADS))
    monkeypatch.setattr(Work, "failure", None)
    return SimpleNamespace(
        config=SimpleNamespace(data_root=tmp_path),
        catalog=SimpleNamespace(graph=SimpleNamespace(get=shelf), exec=SimpleNamespace(get=shelf)),
    )


def compare(engine: Any, job: Job | None = None, **parameters: Any) -> Any:
    job = job or Job(engine, "driver_compare", {})
    return driver_compare(engine, job, **{"drivers": ("a", "b"), "workloads": ("work",), "runs": 2, **parameters})


def test_drivers_take_turns(engine: Any, done: list[str]) -> None:
    (result,) = compare(engine).results
    assert done == ["a", "b", NATIVE, "b", NATIVE, "a", "native gone", "b gone", "a gone"]
    assert result.values == {"a": [1.0, 6.0], "b": [2.0, 4.0], NATIVE: [3.0, 5.0]}


def test_progress_and_at_the_end_all_values_are_reported(engine: Any) -> None:
    messages: list[Any] = []
    compare(engine, Job(engine, "driver_compare", {}, report=messages.append), runs=1)
    assert [message.status for message in messages if isinstance(message, Progress)] == [
        "Preparing",
        "Run 1 of 1: work on a",
        "Run 1 of 1: work on b",
        "Run 1 of 1: work on native",
    ]
    assert isinstance(messages[-1], Aux)
    fields = messages[-1].value
    assert (fields["Drivers"], fields["Runs"]) == (["a", "b", NATIVE], 1)
    assert fields["Results"][0]["Drivers"]["a"] == {"Values": [1.0], "Median": 1.0, "Spread": 0.0}


@pytest.mark.parametrize("failure", [OSError(28, "no"), MissingProgram("fio is not installed")])
def test_what_one_driver_cannot_do_is_said_and_not_tried_again(
    engine: Any, done: list[str], monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    monkeypatch.setattr(Work, "failure", failure)
    (result,) = compare(engine).results
    assert result.failures == {"b": str(failure)}
    assert done.count("b") == 1
    assert len(result.values["a"]) == 2


@pytest.mark.parametrize("failure", [StorageFull("no space"), Cancelled("gone"), KeyError("a defect")])
def test_what_is_no_drivers_failure_ends_the_comparison(
    engine: Any, done: list[str], monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    monkeypatch.setattr(Work, "failure", failure)
    with pytest.raises(type(failure)):
        compare(engine)
    assert done[-3:] == ["native gone", "b gone", "a gone"]


def test_a_comparison_can_be_cancelled(engine: Any, done: list[str]) -> None:
    job = Job(engine, "driver_compare", {})
    job.report = lambda message: job.cancel() if "on b" in message.status else None  # type: ignore[union-attr]
    with pytest.raises(Cancelled):
        compare(engine, job)
    assert done == ["a", "b", "native gone", "b gone", "a gone"]


def test_only_one_comparison_goes_on_at_a_time(engine: Any) -> None:
    job = Job(engine, "driver_compare", {})

    def report(message: Any) -> None:
        with pytest.raises(Conflict, match="another comparison"):
            compare(engine)
        job.report = lambda _: None

    job.report = report
    compare(engine, job)
    compare(engine)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"drivers": ()}, InvalidParameter, "no driver to compare"),
        ({"drivers": ("a", "a")}, InvalidParameter, "the driver 'a' is given twice"),
        ({"drivers": ("a", NATIVE)}, InvalidParameter, "native is always compared"),
        ({"drivers": ("c",)}, NotFound, "no graph driver is named 'c'"),
        ({"kind": "log"}, InvalidParameter, "of the kind 'log' cannot be compared"),
        ({"runs": 0}, InvalidParameter, "invalid number of runs 0"),
        ({"runs": 101}, InvalidParameter, "invalid number of runs 101"),
        ({"workloads": ("metadat",)}, InvalidParameter, "did you mean 'metadata'?"),
        ({"workloads": ("?",)}, InvalidParameter, "there are: work, unpack"),
        ({"workloads": ("start",)}, InvalidParameter, "give an image"),
        ({"workloads": (), "kind": "exec"}, InvalidParameter, "give an image"),
    ],
)
def test_what_cannot_be_compared_is_refused(engine: Any, parameters: Any, error: Any, message: str) -> None:
    with pytest.raises(error) as raised:
        compare(engine, **parameters)
    assert message in str(raised.value)


def test_workloads_have_names_of_their_own_and_so_have_their_measures(tmp_path: Path) -> None:
    for workloads in (GRAPH_WORKLOADS, EXEC_WORKLOADS):
        names = [workload.name for workload in workloads]
        assert len(set(names)) == len(names)
    for workload in GRAPH_WORKLOADS:
        measures = [measure.name for measure in workload(Samples(tmp_path, FULL)).measures()]
        assert len(set(measures)) == len(measures) > 0


def test_samples_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    one, other = (Samples(tmp_path / name, QUICK) for name in ("one", "other"))
    assert all(first == second for first, second in zip(one.layer(), other.layer(), strict=True))
