"""Health of containers: what checks it, how often, and what the results mean.

    start ──▶ starting ──success──▶ healthy ◀──success── unhealthy
                  └── as many failures in a row as `retries` ──┘

The rules and defaults are Docker's. Durations and times are in nanoseconds.
"""

from __future__ import annotations

from dataclasses import replace

from transom.containers.model import Container, Health, ProbeResult
from transom.graph.model import Healthcheck

__all__ = [
    "STARTING",
    "HEALTHY",
    "UNHEALTHY",
    "check_of",
    "command_of",
    "describe_timeout",
    "initial_health",
    "interval",
    "judge",
]

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
_INTERVAL = 30_000_000_000
_TIMEOUT = 30_000_000_000
_START_INTERVAL = 5_000_000_000
_RETRIES = 3
#: How many results are kept.
_KEPT = 5
_SHELL = ("/bin/sh", "-c")


def check_of(container: Container) -> Healthcheck:
    """Return a container's health check, with the defaults where it does not say otherwise."""
    check = container.config.run.healthcheck or Healthcheck()
    return replace(
        check,
        interval=check.interval or _INTERVAL,
        timeout=check.timeout or _TIMEOUT,
        start_interval=check.start_interval or _START_INTERVAL,
        retries=check.retries or _RETRIES,
    )


def command_of(container: Container) -> tuple[str, ...]:
    """Return the command that checks a container, empty for one without health checks."""
    check = container.config.run.healthcheck
    if check is None or len(check.test) < 2:
        return ()
    match check.test[0]:
        case "CMD":
            return check.test[1:]
        case "CMD-SHELL":
            return (*(container.config.run.shell or _SHELL), *check.test[1:])
    return ()


def initial_health(container: Container) -> Health | None:
    """Return what is known of a container's health when it starts; what an earlier run said stays to be read."""
    if not command_of(container):
        return None
    before = container.state.health
    return Health(STARTING, 0, before.log if before else ())


def judge(container: Container, result: ProbeResult) -> Health:
    """Return a container's health after one more check."""
    state, check = container.state, check_of(container)
    health = state.health or Health()
    known = (*health.log, result)[-_KEPT:]
    if result.exit_code == 0:
        return Health(HEALTHY, 0, known)
    if health.status == STARTING and result.start - state.started < check.start_period:
        # It may take its time.
        return replace(health, log=known)
    streak = health.failing_streak + 1
    return Health(UNHEALTHY if streak >= check.retries else health.status, streak, known)


def interval(container: Container, now: int) -> int:
    """Return how long after the last check, or its start, a container is checked."""
    state, check = container.state, check_of(container)
    begins = state.health is not None and state.health.status == STARTING
    return check.start_interval if begins and now - state.started < check.start_period else check.interval


def describe_timeout(timeout: int, output: str) -> str:
    """Return what is kept of a check that took too long."""
    said = f"Health check exceeded timeout ({_words(timeout)})"
    return f"{said}: {output}" if output else said


def _words(nanoseconds: int) -> str:
    """Return a duration as Go writes it: `1m30s`, `500ms`."""
    if nanoseconds < 1_000_000_000:
        return f"{nanoseconds / 1e6:g}ms"
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / 1e9:.9f}".rstrip("0").rstrip(".")
    return f"{f'{hours}h' if hours else ''}{f'{minutes}m' if hours or minutes else ''}{seconds}s"
