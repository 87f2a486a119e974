"""Signals by name and number, as `--signal` and STOPSIGNAL give them."""

from __future__ import annotations

import signal

from transom.errors import InvalidParameter

__all__ = ["parse_signal"]


def parse_signal(text: str) -> int:
    """Return a signal's number: `9`, `KILL`, `SIGKILL`, `RTMIN+3`. Raises `InvalidParameter`."""
    bare = text.strip().upper().removeprefix("SIG")
    if bare.isdecimal():
        number = int(bare)
    else:
        base, sign, offset = bare.partition("+") if "+" in bare else bare.partition("-")
        found = signal.Signals.__members__.get(f"SIG{base}")
        if found is None or (sign and not offset.isdecimal()):
            raise InvalidParameter(f"Invalid signal: {text}")
        number = found.value + (int(offset) if sign == "+" else -int(offset) if sign else 0)
    if not 1 <= number < signal.NSIG:
        raise InvalidParameter(f"Invalid signal: {text}")
    return number
