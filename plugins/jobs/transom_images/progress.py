"""What a pull says of each layer, in the words that Docker's clients draw bars for."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from transom.graph.digest import Digest
from transom.job import Job

__all__ = ["LayerProgress", "Progress", "Silence"]

#: Seconds between two lines about one layer that differ only in their numbers.
_INTERVAL = 0.1


class Progress(Protocol):
    """Something to tell how far the work on one blob has got."""

    def say(self, status: str) -> None:
        """Report a new status."""

    def count(self, status: str, current: int, total: int) -> None:
        """Report how many bytes of how many are done."""


class Silence:
    """Progress that nobody hears: a configuration's, which clients draw no bar for."""

    def say(self, status: str) -> None:
        """Do nothing."""

    def count(self, status: str, current: int, total: int) -> None:
        """Do nothing."""


class LayerProgress:
    """Reports on one blob under its short ID, and not more often than eyes can follow."""

    def __init__(self, job: Job, blob: Digest) -> None:
        self._job = job
        self._subject = blob.hex[:12]
        self._lock = threading.Lock()
        self._status = ""
        self._next = 0.0

    def say(self, status: str) -> None:
        """Report a new status."""
        with self._lock:
            self._status = status
            self._next = 0.0
        self._job.progress(status, self._subject)

    def count(self, status: str, current: int, total: int) -> None:
        """Report how many bytes of how many are done, or do nothing if that was reported a moment ago."""
        now = time.monotonic()
        with self._lock:
            if status == self._status and now < self._next:
                return
            self._status, self._next = status, now + _INTERVAL
        self._job.progress(status, self._subject, current=current, total=total)
