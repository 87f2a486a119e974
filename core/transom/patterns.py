"""Patterns that clients filter names with: regular expressions whose search takes time in proportion to the name.

Docker's are RE2. Python's can take forever on a short text, and hold everybody up meanwhile, so what makes them do so
is refused: repetitions inside repetitions, back-references, and looking around.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

from transom.errors import InvalidParameter

__all__ = ["name_pattern", "quick_pattern"]

_REPETITIONS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
_REFUSED = (_constants.GROUPREF, _constants.GROUPREF_EXISTS, _constants.ASSERT, _constants.ASSERT_NOT)
_LONGEST = 1000


def name_pattern(filter_name: str, text: str) -> re.Pattern[str]:
    """Return the pattern of a filter such as `name=^web`. Raises `InvalidParameter`."""
    return quick_pattern("filter", filter_name, text)


def quick_pattern(kind: str, name: str, text: str) -> re.Pattern[str]:
    """Return a pattern that somebody gave as a setting of some kind, `name=text`. Raises `InvalidParameter`."""
    try:
        if len(text) > _LONGEST or not _is_quick(_parser.parse(text), within=False):
            raise InvalidParameter(
                f"invalid {kind} '{name}={text}': repetitions inside repetitions, back-references and looking"
                " around are not supported"
            )
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidParameter(f"invalid {kind} '{name}={text}': {error}") from error


def _is_quick(parsed: Iterable[Any], *, within: bool) -> bool:
    for operation, argument in parsed:
        if operation in _REFUSED or (operation in _REPETITIONS and within):
            return False
        inside = within or (operation in _REPETITIONS and argument[1] > 1)
        if not all(_is_quick(part, within=inside) for part in _parts(argument)):
            return False
    return True


def _parts(argument: Any) -> Iterable[Any]:
    """Yield the patterns inside an operation's argument."""
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, (tuple, list)):
        for item in argument:
            yield from _parts(item)
