"""The flags about health checks, and what they ask for."""

from __future__ import annotations

from typing import Any

from transom_cli.flags import BOOL, INT, Flag, Kind
from transom_cli.times import duration_seconds

__all__ = ["HEALTH_FLAGS", "healthcheck"]


def _nanoseconds(text: str) -> int:
    """Return a duration in nanoseconds. Raises `ValueError`."""
    return round(duration_seconds(text) * 1_000_000_000)


_DURATION = Kind("duration", _nanoseconds)

HEALTH_FLAGS = [
    Flag(["--health-cmd"], about="Command to run to check health"),
    Flag(["--health-interval"], _DURATION, default=0, about="Time between running the check (ms|s|m|h)"),
    Flag(["--health-retries"], INT, default=0, about="Consecutive failures needed to report unhealthy"),
    Flag(
        ["--health-start-interval"],
        _DURATION,
        default=0,
        about="Time between running the check during the start period (ms|s|m|h)",
        since="1.44",
    ),
    Flag(
        ["--health-start-period"],
        _DURATION,
        default=0,
        about="Start period for the container to initialize before starting health-retries countdown (ms|s|m|h)",
        since="1.29",
    ),
    Flag(["--health-timeout"], _DURATION, default=0, about="Maximum time to allow one check to run (ms|s|m|h)"),
    Flag(["--no-healthcheck"], BOOL, about="Disable any container-specified HEALTHCHECK"),
]

#: The flags' names without `--health-`, by the names of the API.
_FIELDS = {
    "Interval": "interval",
    "Timeout": "timeout",
    "Retries": "retries",
    "StartPeriod": "start-period",
    "StartInterval": "start-interval",
}


def healthcheck(flags: dict[str, Any]) -> dict[str, Any] | None:
    """Return the API's Healthcheck, None if none of the flags was given. Raises `ValueError`."""
    command = flags["health_cmd"]
    given = {field: value for field, name in _FIELDS.items() if (value := flags[f"health_{name.replace('-', '_')}"])}
    if flags["no_healthcheck"]:
        if command or given:
            raise ValueError("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    for field, name in _FIELDS.items():
        if given.get(field, 0) < 0:
            raise ValueError(f"--health-{name} cannot be negative")
    if not command and not given:
        return None
    return {**({"Test": ["CMD-SHELL", command]} if command else {}), **given}
