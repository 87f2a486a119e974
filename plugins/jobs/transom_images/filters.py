"""The filters of `docker images`: which images a list shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from transom.errors import InvalidParameter
from transom.graph.image_config import unix_seconds
from transom.graph.images import ImageStore, ImageSummary
from transom.graph.reference import Reference

__all__ = ["Filters"]

_KNOWN = ("before", "dangling", "label", "reference", "since")
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


@dataclass(frozen=True)
class Filters:
    """What an image must be to be shown. Times are in seconds since the epoch."""

    dangling: bool | None = None
    labels: tuple[str, ...] = ()
    references: tuple[re.Pattern[str], ...] = ()
    before: int | None = None
    since: int | None = None

    @classmethod
    def parse(cls, images: ImageStore, filters: Mapping[str, tuple[str, ...]]) -> Filters:
        """Return what a client sent. Raises `InvalidParameter`, and `NotFound` for an image in it."""
        for name in filters:
            if name not in _KNOWN:
                raise InvalidParameter(f"invalid filter '{name}'")
        created = {
            name: [unix_seconds(images.get(image).created) for image in filters.get(name, ())]
            for name in ("before", "since")
        }
        return cls(
            dangling=_flag("dangling", filters.get("dangling", ())),
            labels=filters.get("label", ()),
            references=tuple(_pattern(pattern) for pattern in filters.get("reference", ())),
            before=min(created["before"], default=None),
            since=max(created["since"], default=None),
        )

    def names(self, reference: Reference) -> bool:
        """Return whether a name of an image is to be shown."""
        return not self.references or any(
            pattern.fullmatch(reference.familiar) or pattern.fullmatch(reference.familiar_name)
            for pattern in self.references
        )

    def accept(self, summary: ImageSummary) -> bool:
        """Return whether an image, with those of its names that are to be shown, is to be shown."""
        return (
            (not self.references or bool(summary.tags or summary.digests))
            and (self.dangling is None or self.dangling == (not summary.tags))
            and (self.before is None or summary.created < self.before)
            and (self.since is None or summary.created > self.since)
            and all(_has_label(summary.labels, label) for label in self.labels)
        )


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _flag(name: str, values: tuple[str, ...]) -> bool | None:
    if not values:
        return None
    if len(values) == 1 and values[0] in _TRUE + _FALSE:
        return values[0] in _TRUE
    raise InvalidParameter(f"invalid filter '{name}={', '.join(values)}': it should be true or false")


def _pattern(text: str) -> re.Pattern[str]:
    """Return a shell pattern of Go's path.Match as a regular expression: no wildcard stands for a slash."""
    parts = []
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise InvalidParameter(f"invalid filter 'reference={text}': the pattern is not complete")
        position = token.end()
        if token["any"]:
            parts.append("[^/]*" if token["any"] == "*" else "[^/]")
        elif token["set"] is not None:
            ranges = _RANGE.sub(_escaped_range, token["set"])
            parts.append(f"(?!/)[{token['not']}{ranges}]")
        else:
            parts.append(re.escape(token["escaped"] or token["plain"]))
    try:
        return re.compile("".join(parts))
    except re.error as error:
        raise InvalidParameter(f"invalid filter 'reference={text}': {error}") from error


_TOKEN = re.compile(
    r"(?P<any>[*?])|\[(?P<not>\^?)(?P<set>(?:\\.|[^\\\]])+)\]|\\(?P<escaped>.)|(?P<plain>[^\\\[*?])",
    re.DOTALL,
)
_RANGE = re.compile(r"\\?(?P<low>.)(?:-\\?(?P<high>.))?", re.DOTALL)


def _escaped_range(match: re.Match[str]) -> str:
    low, high = re.escape(match["low"]), match["high"]
    return low if high is None else f"{low}-{re.escape(high)}"
