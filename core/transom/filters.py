"""What the filters of lists and prunes have in common. Filters come by name, each with its values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from transom.errors import InvalidParameter
from transom.times import parse_moment

__all__ = ["Filters", "Labels", "parse_truth", "parse_until", "refuse_unknown"]

Filters = Mapping[str, tuple[str, ...]]

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


def refuse_unknown(filters: Filters, known: Collection[str]) -> None:
    """Raise `InvalidParameter` if there is a filter of another name."""
    for name in filters:
        if name not in known:
            raise InvalidParameter(f"invalid filter '{name}'")


def parse_truth(filters: Filters, name: str) -> bool | None:
    """Return what a filter like `dangling=true` says, None if it is not there. Raises `InvalidParameter`."""
    values = filters.get(name, ())
    if not values:
        return None
    if len(values) == 1 and values[0] in _TRUE + _FALSE:
        return values[0] in _TRUE
    raise InvalidParameter(f"invalid filter '{name}={', '.join(values)}': it should be true or false")


def parse_until(filters: Filters) -> int | None:
    """Return the earliest time of `until` in nanoseconds since the epoch, None for none. Raises `InvalidParameter`."""
    return min(map(parse_moment, filters.get("until", ())), default=None)


@dataclass(frozen=True)
class Labels:
    """The filters `label` and `label!`: each value is a key, or a key and its value (`key=value`)."""

    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()

    @classmethod
    def parse(cls, filters: Filters) -> Labels:
        """Return what the filters say of labels."""
        return cls(filters.get("label", ()), filters.get("label!", ()))

    def accept(self, labels: Mapping[str, str]) -> bool:
        """Return whether something with these labels passes: it has all that are wanted and none that is not."""
        return all(_has(labels, label) for label in self.wanted) and not any(
            _has(labels, label) for label in self.unwanted
        )


def _has(labels: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)
