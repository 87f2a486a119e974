"""Sizes as people write them: `10m`, `1.5 GB`."""

from __future__ import annotations

import re
from typing import Final

from transom.errors import InvalidParameter

__all__ = ["parse_size"]

#: A number, a prefix, and what says that they are bytes.
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)(i?b)?\Z", re.IGNORECASE | re.ASCII)


def parse_size(text: str, thousand: int) -> int:
    """Return the bytes of a size whose prefixes are powers of 1000 or of 1024. Raises `InvalidParameter`."""
    match = _SIZE.match(text)
    if match is None:
        raise InvalidParameter(f"invalid size: '{text}'")
    return int(float(match[1]) * thousand ** " kmgtp".index(match[2].lower() or " "))
