"""What a comparison found: values of each run, medians, spreads, and who wins by how much."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transom_bench.workload import Measure

__all__ = ["Comparison", "Result", "median", "spread", "verdict"]


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
            "Verdict": verdict(self.measure, self.values, native),
        }


@dataclass
class Comparison:
    """A whole comparison. `machine` says what it was made on, by name."""

    kind: str
    drivers: Sequence[str]
    image: str
    runs: int
    machine: Mapping[str, str]
    results: list[Result]

    def fields(self, native: str) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "Kind": self.kind,
            "Drivers": [*self.drivers, native],
            "Image": self.image,
            "Runs": self.runs,
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


def verdict(measure: Measure, values: Mapping[str, Sequence[float]], native: str) -> str:
    """Return a sentence on who wins, and by how much, among those that are no limit.

    Nobody wins where the values of the best and of the next overlap.
    """
    more = measure.more_is_better
    ranked = sorted(
        (driver for driver, found in values.items() if found and driver != native),
        key=lambda driver: median(values[driver]),
        reverse=more,
    )
    if not ranked:
        return "No driver could do this."
    best = ranked[0]
    limit = ""
    if values.get(native) and median(values[native]):
        part = median(values[best]) / median(values[native])
        limit = f"{best} {'reaches' if more else 'takes'} {part:.3g} times what {native} does."
    if len(ranked) == 1:
        return limit or f"{best} alone could be measured."
    second = ranked[1]
    apart = min(values[best]) > max(values[second]) if more else max(values[best]) < min(values[second])
    if not apart:
        return f"{best} and {second} cannot be told apart: their values overlap. {limit}".strip()
    above, below = (best, second) if more else (second, best)
    ahead = median(values[above]) / median(values[below]) if median(values[below]) else 0
    won = f"{best} wins, {ahead:.3g} times ahead of {second}." if ahead else f"{best} wins before {second}."
    return f"{won} {limit}".strip()
