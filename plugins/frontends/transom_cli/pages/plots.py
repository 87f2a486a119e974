"""Plots as inline SVG, which a screen reader reads as the sentence that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from transom_cli.pages.frame import escape

__all__ = ["Bar", "bar_plot"]

_ROW, _BAR, _LEFT, _WIDTH, _RIGHT = 26, 14, 110, 360, 110


class Bar(NamedTuple):
    """A bar: its name, its length, the single values on it, how the length is written, and whether it is a limit."""

    name: str
    value: float
    points: Sequence[float]
    label: str
    limit: bool = False


def bar_plot(bars: Sequence[Bar], description: str) -> str:
    """Return bars under each other, from zero, with a dot for each single value."""
    largest = max((max(bar.points) for bar in bars), default=0) or 1
    height = _ROW * len(bars)
    parts = [
        f'<svg class="plot" role="img" aria-label="{escape(description)}" width="100%"'
        f' viewBox="0 0 {_LEFT + _WIDTH + _RIGHT} {height}" style="max-width:40rem">'
    ]
    for index, bar in enumerate(bars):
        y = index * _ROW
        middle = y + _ROW / 2
        color = "var(--line)" if bar.limit else "var(--blue)"
        parts.append(f'<text x="{_LEFT - 8}" y="{middle + 4}" text-anchor="end">{escape(bar.name)}</text>')
        parts.append(
            f'<rect x="{_LEFT}" y="{y + (_ROW - _BAR) / 2}" width="{_scaled(bar.value, largest)}" height="{_BAR}"'
            f' rx="3" style="fill:{color}"/>'
        )
        parts += [
            f'<circle cx="{_LEFT + _scaled(point, largest)}" cy="{middle}" r="3"'
            ' style="fill:var(--orange);stroke:var(--panel)"/>'
            for point in bar.points
        ]
        end = _LEFT + _scaled(max(bar.value, *bar.points), largest) + 10
        parts.append(f'<text class="faint" x="{end}" y="{middle + 4}">{escape(bar.label)}</text>')
    return "\n".join([*parts, "</svg>"])


def _scaled(value: float, largest: float) -> float:
    return round(_WIDTH * value / largest, 1)
