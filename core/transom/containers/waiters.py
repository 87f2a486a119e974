"""Who waits for containers to end or to be removed."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from transom.containers.model import WaitResult
from transom.errors import InvalidParameter

__all__ = ["CONDITIONS", "Waiters"]

#: What a wait can be for, as in Docker's API, and which moment that is.
CONDITIONS = {"": "exit", "not-running": "exit", "next-exit": "exit", "removed": "removed"}


class Waiters:
    """Futures by container and moment (`exit`, `removed`)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[tuple[str, str], list[Future[WaitResult]]] = {}

    @staticmethod
    def settled(result: WaitResult) -> Future[WaitResult]:
        """Return a future that has its result."""
        future: Future[WaitResult] = Future()
        future.set_result(result)
        return future

    def add(self, container: str, condition: str) -> Future[WaitResult]:
        """Return a future of a condition. Raises `InvalidParameter` for one that there is not."""
        moment = CONDITIONS.get(condition)
        if moment is None:
            raise InvalidParameter(f'invalid condition: "{condition}"')
        future: Future[WaitResult] = Future()
        with self._lock:
            waiting = self._futures.setdefault((container, moment), [])
            waiting[:] = [other for other in waiting if not other.cancelled()]
            waiting.append(future)
        return future

    def resolve(self, container: str, moment: str, result: WaitResult) -> None:
        """Give the result to all who wait for a moment of a container."""
        with self._lock:
            futures = self._futures.pop((container, moment), [])
        for future in futures:
            if future.set_running_or_notify_cancel():
                future.set_result(result)

    def close(self) -> None:
        """Let all who wait go, without a result."""
        with self._lock:
            futures = [future for waiting in self._futures.values() for future in waiting]
            self._futures.clear()
        for future in futures:
            future.cancel()
