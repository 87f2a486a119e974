"""Whether instructions that change no file were done before, as Docker's own builder tells of each.

Nothing is kept of them here, where that makes an image of each. But they are a part of what the next step depends on:
so they were done before if that was, and at the end if the image was there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from transom_builder.reports import USING_CACHE, Reports

__all__ = ["Unsaid", "Verdicts"]


@dataclass(frozen=True)
class Unsaid:
    """An instruction of which it is not told yet: its number, and the image that its stage would be after it."""

    number: int
    image: str


class Verdicts:
    """Tells of such instructions, of each once. Safe to call from many threads."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._lock = threading.Lock()
        self._told: set[int] = set()

    def tell(self, instructions: Iterable[Unsaid], *, cached: bool) -> None:
        """Say that instructions were done before, or were not."""
        for item in instructions:
            with self._lock:
                if item.number in self._told:
                    continue
                self._told.add(item.number)
            text = f"{USING_CACHE if cached else ''} ---> {item.image}\n"
            self._reports.say_in_turn(item.number, text, last=True)
