"""What a comparison found: values of each run, medians, spreads, and who wins by how much."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from transom_bench.workload import BYTES, RATE, Measure

__all__ = ["Comparison", "Result", "Standing", "median", "spread", "standing", "verdict"]

#: How many runs set anybody apart.
_ENOUGH: Final = 3


@dataclass
class Result:
    """What one measure of a workload came to: values by driver, and by driver why there are none."""

    workload: str
    measure: Measure
    method: str
    values: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def fields(self, native: str) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "Workload": self.workload,
            "Measure": self.measure.name,
            "About": self.measure.about,
            "Unit": self.measure.unit,
            "MoreIsBetter": self.measure.more_is_better,
            "Method": self.method,
            "Drivers": {
                driver: {"Values": values, "Median": median(values), "Spread": spread(values)}
                for driver, values in self.values.items()
                if values
            },
            "Failures": self.failures,
            **_standing_fields(standing(self.measure, self.values, native)),
            "Verdict": verdict(self.measure, self.values, native),
        }


@dataclass
class Comparison:
    """A whole comparison. `machine` says what it was made on, by name."""

    kind: str
    drivers: Sequence[str]
    image: str
    runs: int
    quick: bool
    machine: Mapping[str, str]
    results: list[Result]

    def fields(self, native: str) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "Kind": self.kind,
            "Drivers": [*self.drivers, native],
            "Image": self.image,
            "Runs": self.runs,
            "Quick": self.quick,
            "Machine": self.machine,
            "Results": [result.fields(native) for result in self.results],
        }


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> float:
    """Return how far the values are from each other, as a part of the median."""
    middle = median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


@dataclass(frozen=True)
class Standing:
    """Who does best: the drivers in order, whether the first is apart from all others, and by how much it leads.

    `ahead` is how many times the second takes or has what the first does, or the other way round where more is better;
    None if there is no second one, or nothing to divide by.
    """

    order: tuple[str, ...]
    apart: bool
    ahead: float | None


def standing(measure: Measure, values: Mapping[str, Sequence[float]], native: str) -> Standing:
    """Return who does best among those that are no limit.

    The first is apart if its worst value is better than the best of every other one. That would often be so by chance
    in one or two runs, which set nobody apart.
    """
    more = measure.more_is_better
    found = {driver: each for driver, each in values.items() if each and driver != native}
    order = tuple(sorted(found, key=lambda driver: median(found[driver]), reverse=more))
    if len(order) < 2:
        return Standing(order, False, None)
    first, second = order[:2]
    others = [value for driver in order[1:] for value in found[driver]]
    clear = min(found[first]) > max(others) if more else max(found[first]) < min(others)
    enough = min(len(each) for each in found.values()) >= _ENOUGH
    above, below = (first, second) if more else (second, first)
    ahead = median(found[above]) / median(found[below]) if median(found[below]) else None
    return Standing(order, clear and enough, ahead)


def verdict(measure: Measure, values: Mapping[str, Sequence[float]], native: str) -> str:
    """Return a sentence on who wins and by how much, and one on how far the best is from the limit."""
    found = standing(measure, values, native)
    if not found.order:
        return "No driver could do this."
    first, *others = found.order
    limit = _limit(measure, first, values, native)
    if not others:
        return limit or f"{first} alone could be measured."
    if min(len(values[driver]) for driver in found.order) < _ENOUGH:
        said = f"{first} is first and {others[-1]} last, but fewer than {_ENOUGH} runs tell nobody apart."
    elif not found.apart:
        said = f"{_listed(_level(measure, values, found.order))} cannot be told apart: their values overlap."
    elif found.ahead is None:
        said = f"{first} wins: it needs nothing."
    elif measure.unit == BYTES:
        said = f"{first} wins: {others[0]} takes {_times(found.ahead, 'as much', 'more')}."
    else:
        said = f"{first} wins: it is {_times(found.ahead, 'as fast as', 'faster than')} {others[0]}."
    return f"{said} {limit}".strip()


def _level(measure: Measure, values: Mapping[str, Sequence[float]], order: Sequence[str]) -> list[str]:
    """Return the first, and those whose values are not all worse than its own."""
    first = values[order[0]]
    if measure.more_is_better:
        return [driver for driver in order if max(values[driver]) >= min(first)]
    return [driver for driver in order if min(values[driver]) <= max(first)]


def _limit(measure: Measure, first: str, values: Mapping[str, Sequence[float]], native: str) -> str:
    if not values.get(native) or not median(values[native]):
        return ""
    part = median(values[first]) / median(values[native])
    if measure.unit == RATE:
        return f"{first} reaches {100 * part:.3g}% of what {native} does."
    return f"{first} takes {part:.3g} times what {native} does."


def _times(ratio: float, as_much: str, more: str) -> str:
    """Return a ratio above 1 in words: small ones by what is more."""
    return f"{ratio:.3g} times {as_much}" if ratio >= 2 else f"{100 * (ratio - 1):.2g}% {more}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _standing_fields(found: Standing) -> dict[str, Any]:
    return {"Order": found.order, "Apart": found.apart, "Ahead": found.ahead}
