"""Restart policies: whether a container that ended is started again, and when."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from transom.containers.alarms import Alarms
from transom.containers.model import Container, RestartPolicy, Status
from transom.errors import InvalidParameter

__all__ = ["Restarts", "check_policy"]

_POLICIES = ("", "no", "always", "unless-stopped", "on-failure")

#: Seconds before the first restart; each further one waits twice as long, until a run has lasted.
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 60.0
#: Seconds that a container must run for its next restart to begin with the first delay again.
_LASTING = 10.0


def check_policy(policy: RestartPolicy) -> None:
    """Raise `InvalidParameter` for a policy that there is not, or with retries that it does not have."""
    if policy.name not in _POLICIES:
        raise InvalidParameter(
            f"invalid restart policy: unknown policy '{policy.name}'; use one of 'no', 'always', 'on-failure', or"
            " 'unless-stopped'"
        )
    if policy.maximum_retries and policy.name != "on-failure":
        hint = " and cannot be negative" if policy.maximum_retries < 0 else ""
        raise InvalidParameter(f"invalid restart policy: maximum retry count can only be used with 'on-failure'{hint}")
    if policy.maximum_retries < 0:
        raise InvalidParameter("invalid restart policy: maximum retry count cannot be negative")


class Restarts:
    """The restarts that are due, of one engine.

    `restart` is called with a container's ID when its time has come, in a thread that `submit` gives.
    """

    def __init__(self, restart: Callable[[str], None], submit: Callable[[Callable[[], None]], Any]) -> None:
        self._alarms = Alarms(restart, submit)
        self._lock = threading.Lock()
        self._delays: dict[str, float] = {}

    def delay(self, container: Container) -> float | None:
        """Return the seconds to wait before a container that just ended is started again, or None for never."""
        policy, state = container.host.restart, container.state
        failed_too_often = 0 < policy.maximum_retries <= state.restarts
        wanted = policy.name in ("always", "unless-stopped") or (
            policy.name == "on-failure" and state.exit_code != 0 and not failed_too_often
        )
        if not wanted or state.stopped_by_user:
            self.forget(container.id)
            return None
        lasted = (state.finished - state.started) / 1e9 >= _LASTING
        with self._lock:
            before = 0.0 if lasted else self._delays.get(container.id, 0.0)
            self._delays[container.id] = min(before * 2 or _FIRST_DELAY, _LONGEST_DELAY)
            return self._delays[container.id]

    def wanted_after_boot(self, container: Container) -> bool:
        """Return whether a container that does not run is to be started when the engine starts."""
        policy, state = container.host.restart.name, container.state
        if state.running or not state.started:
            return False
        return (
            policy == "always"
            or (policy == "unless-stopped" and not state.stopped_by_user)
            or state.status is Status.RESTARTING
        )

    def schedule(self, container: str, seconds: float) -> None:
        """Start a container again after some seconds."""
        self._alarms.set(container, seconds)

    def forget(self, container: str) -> None:
        """Do not start a container again."""
        with self._lock:
            self._delays.pop(container, None)
        self._alarms.cancel(container)

    def close(self) -> None:
        """Start nothing any more."""
        self._alarms.close()
