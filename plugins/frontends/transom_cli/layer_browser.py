"""`image layers --tui`: the layers of an image and their files, walked through by keys."""

from __future__ import annotations

import curses
import locale
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from transom_cli.errors import CommandFailed
from transom_cli.layer_tree import ALL, Item, Sums, build_tree, visible_rows
from transom_cli.units import decimal_size
from transom_cli.untrusted import printable

__all__ = ["browse"]

#: Keys that show only what was added, changed, deleted or wasted.
_FILTERS = {ord("a"): "added", ord("c"): "changed", ord("d"): "deleted", ord("w"): "wasted"}
_HELP = "tab: other side  arrows: move, open, close  a c d w: only added, changed, deleted, wasted  q: quit"
#: Columns of the list of layers; a narrower terminal shows one side at a time.
_LAYERS_WIDTH = 42
_NARROW = 80
#: Lines at the bottom of the list of layers that say all of the one that is chosen.
_DETAILS = 7


def browse(name: str, report: dict[str, Any]) -> None:
    """Show the layers and files until the user quits. Raises `CommandFailed` if the terminal cannot."""
    locale.setlocale(locale.LC_ALL, "")
    try:
        curses.wrapper(lambda screen: _Browser(screen, name, report).run())
    except curses.error as error:
        raise CommandFailed(f"cannot show the layers on this terminal ({error}): set TERM, or use --html") from error


class _List:
    """A list of rows, of which one is chosen, and which is scrolled so that it is seen."""

    def __init__(self) -> None:
        self.chosen = 0
        self.top = 0

    def move(self, by: int, count: int) -> None:
        self.chosen = max(0, min(count - 1, self.chosen + by))

    def scroll(self, height: int) -> None:
        self.top = max(min(self.top, self.chosen), self.chosen - height + 1, 0)


class _Browser:
    """What is shown, and what keys do to it."""

    def __init__(self, screen: curses.window, name: str, report: dict[str, Any]) -> None:
        self._screen = screen
        self._name = printable(name)
        self._report = report
        self._steps = [step for step in report["Steps"] if step["Layer"] is not None]
        self._root = build_tree(report["Tree"])
        self._opened = {self._root}
        self._only = ""
        self._layers, self._files = _List(), _List()
        self._in_files = False
        self._rows = self._list_rows()

    def run(self) -> None:
        """Draw, and do what keys say, until one says to quit."""
        curses.curs_set(0)
        if curses.has_colors():
            curses.use_default_colors()
            for number, color in enumerate((curses.COLOR_GREEN, curses.COLOR_YELLOW, curses.COLOR_RED), 1):
                curses.init_pair(number, color, -1)
        while True:
            self._draw()
            key = self._screen.getch()
            if key == ord("q"):
                return
            self._press(key)

    # Keys

    def _press(self, key: int) -> None:
        page = max(1, self._height() - 1)
        moves = {
            curses.KEY_UP: -1,
            ord("k"): -1,
            curses.KEY_DOWN: 1,
            ord("j"): 1,
            curses.KEY_PPAGE: -page,
            curses.KEY_NPAGE: page,
            curses.KEY_HOME: -(1 << 30),
            curses.KEY_END: 1 << 30,
        }
        if key == ord("\t"):
            self._in_files = not self._in_files
        elif key in _FILTERS:
            self._only = "" if self._only == _FILTERS[key] else _FILTERS[key]
            self._keep_place(lambda: None)
        elif key in moves:
            self._move(moves[key])
        elif key in (curses.KEY_RIGHT, curses.KEY_ENTER, ord("\n"), ord("\r"), ord("l")):
            self._open(toggle=key in (curses.KEY_ENTER, ord("\n"), ord("\r")))
        elif key in (curses.KEY_LEFT, ord("h")):
            self._close()

    def _move(self, by: int) -> None:
        if self._in_files:
            self._files.move(by, len(self._rows))
        else:
            self._layers.move(by, len(self._steps) + 1)
            self._keep_place(lambda: None)

    def _open(self, *, toggle: bool) -> None:
        if not self._in_files:
            self._in_files = True
            return
        item = self._rows[self._files.chosen][1]
        if item in self._opened and toggle:
            self._keep_place(lambda: self._opened.discard(item))
        elif item.children:
            self._keep_place(lambda: self._opened.add(item))

    def _close(self) -> None:
        """Close the directory, or go to the one that this is in; from the top, to the layers."""
        item = self._rows[self._files.chosen][1]
        if not self._in_files:
            return
        if item in self._opened and item is not self._root:
            self._keep_place(lambda: self._opened.discard(item))
        elif item.parent is None:
            self._in_files = False
        else:
            self._files.chosen = next(index for index, row in enumerate(self._rows) if row[1] is item.parent)

    def _keep_place(self, change: Callable[[], None]) -> None:
        """List the rows again after a change, and stay at the same path, or at the next one that is still listed."""
        item: Item | None = self._rows[self._files.chosen][1]
        change()
        self._rows = self._list_rows()
        places = {row[1]: index for index, row in enumerate(self._rows)}
        while item not in places and item is not None:
            item = item.parent
        self._files.chosen = 0 if item is None else places[item]

    def _list_rows(self) -> list[tuple[int, Item, Sums]]:
        return list(visible_rows(self._root, self._opened, self._layer(), self._only))

    def _layer(self) -> int:
        if not self._layers.chosen:
            return ALL
        number: int = self._steps[self._layers.chosen - 1]["Layer"]["Number"]
        return number

    # Drawing

    def _height(self) -> int:
        """Return how many rows a list has: all but the title, the headings and the help."""
        return max(1, self._screen.getmaxyx()[0] - 3)

    def _draw(self) -> None:
        lines, columns = self._screen.getmaxyx()
        self._screen.erase()
        report = self._report
        title = f"{self._name}  efficiency {report['Efficiency']:g}%, {decimal_size(report['WastedSize'], 3)} wasted"
        self._text(0, 0, columns, title, curses.A_BOLD)
        narrow = columns < _NARROW
        if not (narrow and self._in_files):
            self._draw_layers(columns if narrow else _LAYERS_WIDTH)
        if not narrow or self._in_files:
            self._draw_files(0 if narrow else _LAYERS_WIDTH + 1, columns)
        self._text(lines - 1, 0, columns, _HELP, curses.A_DIM)
        self._screen.refresh()

    def _draw_layers(self, width: int) -> None:
        details = _DETAILS if self._height() > 2 * _DETAILS else 0
        height = self._height() - details
        self._text(1, 0, width, f"{'LAYER':<7}{'SIZE':<9}{'WASTED':<9}CREATED BY", curses.A_UNDERLINE)
        rows = [("all", self._report["Size"], self._report["WastedSize"], "All layers")]
        for step in self._steps:
            layer = step["Layer"]
            rows.append((str(layer["Number"]), layer["Size"], layer["WastedSize"], _instruction(step)))
        self._layers.scroll(height)
        for index in range(self._layers.top, min(len(rows), self._layers.top + height)):
            number, size, wasted, text = rows[index]
            line = f"{number:<7}{decimal_size(size, 3):<9}{decimal_size(wasted, 3):<9}{text}"
            self._row(2 + index - self._layers.top, 0, width, line, index == self._layers.chosen, not self._in_files)
        if details and self._layers.chosen:
            step = self._steps[self._layers.chosen - 1]
            for index, line in enumerate(_details(step, width - 1)[: details - 1]):
                self._text(2 + height + 1 + index, 0, width, line, curses.A_DIM)

    def _draw_files(self, left: int, right: int) -> None:
        height = self._height()
        width = right - left
        heading = f"{'':<4}{'SIZE':<9}{'WASTED':<9}NAME" + (f" (only {self._only})" if self._only else "")
        self._text(1, left, width, heading, curses.A_UNDERLINE)
        self._files.scroll(height)
        for index in range(self._files.top, min(len(self._rows), self._files.top + height)):
            depth, item, sums = self._rows[index]
            marks, color = _marks(sums)
            sign = " " if not item.children else "-" if item in self._opened else "+"
            name = "/" if item.parent is None else printable(item.label)
            line = (
                f"{marks:<4}{decimal_size(sums.size, 3):<9}{decimal_size(sums.wasted, 3) if sums.wasted else '':<9}"
                f"{'  ' * depth}{sign} {name}"
            )
            y = 2 + index - self._files.top
            self._row(y, left, width, line, index == self._files.chosen, self._in_files, color)

    def _row(self, y: int, x: int, width: int, text: str, chosen: bool, active: bool, color: int = 0) -> None:
        style = curses.color_pair(color) if color and curses.has_colors() else curses.A_NORMAL
        if chosen:
            style = curses.A_REVERSE if active else curses.A_BOLD
        self._text(y, x, width, f"{text:<{max(width - 1, 0)}}" if chosen else text, style)

    def _text(self, y: int, x: int, width: int, text: str, style: int = curses.A_NORMAL) -> None:
        """Write text as far as there is room; the last column stays free, as the cursor cannot be behind it."""
        lines, columns = self._screen.getmaxyx()
        room = min(width, columns - x) - 1
        if 0 <= y < lines and room > 0:
            self._screen.addnstr(y, x, text, room, style)


def _instruction(step: dict[str, Any]) -> str:
    return printable(step["Instruction"] or step["Comment"] or "(not known)")


def _details(step: dict[str, Any], width: int) -> Sequence[str]:
    """Return what there is to say of a layer, in lines."""
    layer = step["Layer"]
    changes = ", ".join(f"{layer[name]} {name.lower()}" for name in ("Added", "Changed", "Deleted"))
    return [
        f"{layer['Digest'][:19]}, {decimal_size(layer['CompressedSize'], 3)} compressed",
        f"files: {changes}",
        *textwrap.wrap(_instruction(step), width),
    ]


def _marks(sums: Sums) -> tuple[str, int]:
    """Return what marks a path, and the number of its colour: + added, ~ changed, - deleted."""
    marks = "".join(mark for mark, count in (("+", sums.added), ("~", sums.changed), ("-", sums.deleted)) if count)
    color = 3 if marks == "-" or sums.wasted else 1 if marks == "+" else 2 if marks else 0
    return marks, color
