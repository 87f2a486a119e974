"""Long values are not left to `assert` to compare: where pytest shows all of a difference, as it does where `CI` is in
the environment, it looks for lines that are alike, which takes hours for some hundred kilobytes."""

from __future__ import annotations

__all__ = ["difference"]

#: How much of each is shown, in bytes.
_SHOWN = 40


def difference(found: bytes, wanted: bytes) -> str | None:
    """Say where two values differ first, or return None if they do not."""
    if found == wanted:
        return None
    shorter = min(len(found), len(wanted))
    at = next((place for place in range(shorter) if found[place] != wanted[place]), shorter)
    shown = f"{found[at : at + _SHOWN]!r}, not {wanted[at : at + _SHOWN]!r}"
    return f"at byte {at} of {len(found)}, where {len(wanted)} are wanted, there is {shown}"
