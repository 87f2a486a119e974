"""The filters of `docker images`: which images a list shows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from transom.errors import InvalidParameter
from transom.filters import Filters, Labels, parse_truth, parse_until, refuse_unknown
from transom.graph.image_config import unix_nanoseconds
from transom.graph.images import ImageStore, ImageSummary
from transom.graph.model import Image
from transom.graph.reference import Reference

__all__ = ["ImageFilters"]

_KNOWN = ("before", "dangling", "label", "reference", "since", "until")


@dataclass(frozen=True)
class ImageFilters:
    """What an image must be to be shown. Times are in nanoseconds since the epoch."""

    dangling: bool | None = None
    labels: Labels = field(default_factory=Labels)
    references: tuple[re.Pattern[str], ...] = ()
    before: int | None = None
    since: int | None = None
    until: int | None = None

    @classmethod
    def parse(cls, images: ImageStore, filters: Filters) -> ImageFilters:
        """Return what a client sent. Raises `InvalidParameter`, and `NotFound` for an image in it."""
        refuse_unknown(filters, _KNOWN)
        created = {
            name: [unix_nanoseconds(images.get(image).created) for image in filters.get(name, ())]
            for name in ("before", "since")
        }
        return cls(
            dangling=parse_truth(filters, "dangling"),
            labels=Labels.parse(filters),
            references=tuple(_pattern(pattern) for pattern in filters.get("reference", ())),
            before=min(created["before"], default=None),
            since=max(created["since"], default=None),
            until=parse_until(filters),
        )

    def names(self, reference: Reference) -> bool:
        """Return whether a name of an image is to be shown."""
        return not self.references or any(
            pattern.fullmatch(reference.familiar) or pattern.fullmatch(reference.familiar_name)
            for pattern in self.references
        )

    def accept(self, image: Image, summary: ImageSummary) -> bool:
        """Return whether an image, with those of its names that are to be shown, is to be shown."""
        created = unix_nanoseconds(image.created)
        return (
            (not self.references or bool(summary.tags or summary.digests))
            and (self.dangling is None or self.dangling == (not summary.tags))
            and (self.before is None or created < self.before)
            and (self.since is None or created > self.since)
            and (self.until is None or created < self.until)
            and self.labels.accept(summary.labels)
        )


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
