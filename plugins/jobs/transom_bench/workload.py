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

__all__ = ["BYTES", "RATE", "SECONDS", "Measure", "Values", "Workload", "clock"]

#: What a run measured, by the name of the measure.
Values = Mapping[str, float]

SECONDS = "s"
BYTES = "B"
RATE = "B/s"
#: So many items are worked on without asking whether to go on, which takes time itself.
_BETWEEN_CHECKS = 64


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
    #: Whether containers are run, for which an image must be given.
    needs_image: ClassVar[bool] = False

    def __init__(self, samples: Samples, check: Callable[[], object] = lambda: None) -> None:
        """`check` is called now and then while it works, and raises `Cancelled` if it is to end."""
        self.samples = samples
        self.scale = samples.scale
        self._check = check

    @abstractmethod
    def measures(self) -> tuple[Measure, ...]:
        """Return what is measured."""

    @abstractmethod
    def run(self, place: P) -> Values:
        """Do it once and return what was measured, by the names of `measures`; what means nothing there is left out.

        What it makes is gone at the end. Raises `OSError`, `TransomError`, and `MissingProgram` for a program that is
        not installed.
        """

    def method(self) -> str:
        """Return how it is done, as far as that depends on the machine."""
        return "own code"

    def each(self, work: Callable[[T], object], items: Iterable[T]) -> None:
        """Do something with each item, until it is to end."""
        for number, item in enumerate(items):
            if not number % _BETWEEN_CHECKS:
                self._check()
            work(item)


def clock(work: Callable[[], object]) -> float:
    """Return how many seconds something takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
