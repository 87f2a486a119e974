"""What a workload is: a class with a name, what it measures, and a method that does it once.

To add one, write a class and list it in `transom_bench.workloads`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from transom_bench.places import Place
from transom_bench.samples import Samples

__all__ = ["BYTES", "RATE", "SECONDS", "Measure", "Values", "Workload", "clock", "each"]

#: What a run measured, by the name of the measure.
Values = Mapping[str, float]

SECONDS = "s"
BYTES = "B"
RATE = "B/s"


@dataclass(frozen=True)
class Measure:
    """One thing that a workload measures; less is better but for rates."""

    name: str
    about: str
    unit: str = SECONDS

    @property
    def more_is_better(self) -> bool:
        """Whether the larger value wins."""
        return self.unit == RATE


T = TypeVar("T")
P = TypeVar("P", bound=Place, contravariant=True)


class Workload(ABC, Generic[P]):
    """Something that is done on each driver in turn, several times. `P` is what it is done on."""

    name: ClassVar[str]
    measures: ClassVar[tuple[Measure, ...]]
    #: Whether containers are run, for which an image must be given.
    needs_image: ClassVar[bool] = False

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    @abstractmethod
    def run(self, place: P) -> Values:
        """Do it once and return what was measured, with a value for each of `measures`.

        What it makes is gone at the end. Raises `OSError`, `TransomError`, and `MissingProgram` for a program that is
        not installed.
        """

    def method(self) -> str:
        """Return how it is done, as far as that depends on the machine."""
        return "own code"


def clock(work: Callable[[], object]) -> float:
    """Return how many seconds something takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def each(work: Callable[[T], object], items: Iterable[T]) -> None:
    """Do something with each item."""
    for item in items:
        work(item)
