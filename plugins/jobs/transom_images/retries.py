"""Trying again: how often, and after how long."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable
from typing import TypeVar

from transom_images.connections import TURN
from transom_images.transport import Interrupted

__all__ = ["Retries", "announcement", "parse_retry_after", "retry"]

T = TypeVar("T")

#: Seconds before the second try; each further one waits twice as long as the one before, up to the most.
_FIRST_DELAY = 1
_MOST_DELAY = 15
#: A server that asks for more seconds than this is not waited for.
_MOST_PATIENCE = 120


class Retries:
    """Counts the failures in a row of one piece of work, and waits after each.

    `attempts` is how many may fail. `check` is called while it waits and may raise. `announce` is called
    with the number of seconds that are left, once a second.
    """

    def __init__(
        self, attempts: int, check: Callable[[], None], announce: Callable[[int], None] = lambda _: None
    ) -> None:
        self._attempts = attempts
        self._check = check
        self._announce = announce
        self._failures = 0

    def progressed(self) -> None:
        """Say that something was achieved since the last failure: it was not the same failure again."""
        self._failures = 0

    def wait(self, error: Interrupted) -> None:
        """Wait until it is time for the next try after a failure, or raise it if there were too many."""
        self._failures += 1
        if self._failures >= self._attempts or (error.retry_after or 0) > _MOST_PATIENCE:
            raise error
        delay = min(_FIRST_DELAY << (self._failures - 1), _MOST_DELAY)
        if error.retry_after is not None:
            delay = int(error.retry_after + 0.999)
        for left in range(delay, 0, -1):
            self._announce(left)
            end = time.monotonic() + 1
            while time.monotonic() < end:
                self._check()
                time.sleep(TURN)


def retry(work: Callable[[], T], attempts: int, check: Callable[[], None]) -> T:
    """Return what `work` returns, trying again after failures that may pass. Raises the last one."""
    retries = Retries(attempts, check)
    while True:
        try:
            return work()
        except Interrupted as error:
            retries.wait(error)


def announcement(seconds: int) -> str:
    """Return what a user reads while there is still so much to wait."""
    return f"Retrying in {seconds} second{'s' if seconds != 1 else ''}"


def parse_retry_after(header: str) -> float | None:
    """Return the seconds that a `Retry-After` header says (RFC 9110, section 10.2.3), or None if none."""
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return max(0.0, moment.timestamp() - time.time())
    except (ValueError, OverflowError, OSError):
        return None
