"""How a build is shown: as lines, as lines of JSON, and on a terminal."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from typing import Any

import pytest

from transom_cli.build_display import Tty
from transom_cli.build_progress import Plain, RawJson

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def vertex(name: str, started: float = 0, completed: float | None = None, **more: Any) -> dict[str, Any]:
    found = {"id": name, "name": name, "started": START + int(started * SECOND), **more}
    if completed is not None:
        found["completed"] = START + int(completed * SECOND)
    return found


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def plain(clock: Clock) -> Plain:
    return Plain(io.StringIO(), clock)


def text(display: Any) -> str:
    """What was shown, with the times of output, which nobody knows, as 0.000."""
    return re.sub(r"^(#\d+) \d+\.\d{3} ", r"\1 0.000 ", display.file.getvalue(), flags=re.MULTILINE)


def test_a_step_is_its_name_its_output_and_its_time(plain: Plain) -> None:
    plain.take(vertex("[1/2] FROM busybox", 0, 0, cached=True))
    plain.take(vertex("[2/2] RUN make"))
    plain.take({"id": "[2/2] RUN make", "log": "one\ntw", "stream": 1})
    plain.take({"id": "[2/2] RUN make", "log": "o\nthree", "stream": 1})
    plain.take(vertex("[2/2] RUN make", 0, 1.26))
    assert text(plain) == (
        "#1 [1/2] FROM busybox\n#1 CACHED\n\n"
        "#2 [2/2] RUN make\n#2 0.000 one\n#2 0.000 two\n#2 0.000 three\n#2 DONE 1.3s\n\n"
    )


def test_output_appears_while_its_step_runs(plain: Plain) -> None:
    plain.take(vertex("RUN"))
    plain.take({"id": "RUN", "log": "now\n"})
    assert text(plain) == "#1 RUN\n#1 0.000 now\n"


def test_output_of_another_step_waits_until_the_first_ends(plain: Plain) -> None:
    plain.take(vertex("a"))
    plain.take({"id": "a", "log": "a1\n"})
    plain.take(vertex("b"))
    plain.take({"id": "b", "log": "b1\n"})
    plain.take({"id": "a", "log": "a2\n"})
    plain.take(vertex("a", 0, 1))
    plain.take(vertex("b", 0, 2))
    assert text(plain) == "#1 a\n#1 0.000 a1\n#1 0.000 a2\n#1 DONE 1.0s\n\n#2 b\n#2 0.000 b1\n#2 DONE 2.0s\n\n"


def test_output_of_another_step_does_not_wait_for_a_silent_one(plain: Plain, clock: Clock) -> None:
    plain.take(vertex("a"))
    plain.take(vertex("b"))
    plain.take({"id": "b", "log": "b1\n"})
    plain.tick()
    assert "b1" not in text(plain)
    clock.now = 2
    plain.tick()
    plain.take(vertex("b", 0, 2))
    plain.take(vertex("a", 0, 3))
    assert text(plain) == "#1 a\n#1 ...\n\n#2 b\n#2 0.000 b1\n#2 DONE 2.0s\n\n#1 a\n#1 DONE 3.0s\n\n"


def test_at_the_end_everything_is_shown(plain: Plain) -> None:
    plain.take(vertex("a"))
    plain.take(vertex("b", 0, 1, error="context canceled"))
    plain.close()
    assert text(plain) == "#1 a\n#1 ...\n\n#2 b\n#2 ERROR: context canceled\n\n"


def test_a_failure_is_told(plain: Plain) -> None:
    plain.take(vertex("RUN false", 0, 1, error="exit code: 1"))
    assert text(plain) == "#1 RUN false\n#1 ERROR: exit code: 1\n\n"


def test_a_part_of_a_step_is_told_when_it_is_done(plain: Plain) -> None:
    plain.take(vertex("load"))
    part = {"id": "load", "status": "transferring context:", "started": START}
    plain.take({**part, "current": 500})
    plain.take({**part, "current": 1000, "completed": START + 2 * SECOND})
    plain.take({**part, "status": "sha256:abc", "current": 5, "total": 5, "completed": START})
    assert text(plain) == "#1 load\n#1 transferring context: 1kB 2.0s done\n#1 sha256:abc 5B / 5B done\n"


def test_a_line_that_is_drawn_over_is_what_is_left_of_it(plain: Plain) -> None:
    plain.take(vertex("RUN"))
    plain.take({"id": "RUN", "log": "10%\r50%\r100%\r\n"})
    assert text(plain) == "#1 RUN\n#1 0.000 100%\n"


def test_lines_of_json_are_those_of_buildkit() -> None:
    raw = RawJson(io.StringIO())
    raw.take(vertex("RUN", 1.5, 2, cached=True))
    raw.take({"id": "RUN", "log": "text", "stream": 2})
    raw.take({"id": "RUN", "status": "part", "current": 1, "total": 2})
    first, second, third = map(json.loads, raw.file.getvalue().splitlines())
    [step] = first["vertexes"]
    assert step == {
        "digest": "RUN", "name": "RUN", "started": "2023-11-14T22:13:21.500000000Z",
        "completed": "2023-11-14T22:13:22.000000000Z", "cached": True,
    }  # fmt: skip
    [line] = second["logs"]
    assert (line["vertex"], line["stream"], base64.b64decode(line["data"])) == ("RUN", 2, b"text")
    [part] = third["statuses"]
    assert (part["id"], part["vertex"], part["current"], part["total"]) == ("part", "RUN", 1, 2)


class Screen(io.StringIO):
    """A terminal of a size that understands what the display writes; `lines` are what it shows."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.size = os.terminal_size((columns, rows))

    def fileno(self) -> int:
        return -2

    @property
    def lines(self) -> list[str]:
        shown: list[str] = []
        row = column = 0
        for piece in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", self.getvalue()):
            if piece == "\n":
                row, column = row + 1, 0
            elif piece == "\r":
                column = 0
            elif match := re.fullmatch(r"\x1b\[(\d+)A", piece):
                row -= int(match[1])
                assert row >= 0
                assert int(match[1]) < self.size.lines
            elif piece == "\x1b[J":
                del shown[row:]
            elif piece == "\x1b[K":
                shown[row] = shown[row][:column]
            elif not piece.startswith("\x1b"):
                shown += [""] * (row + 1 - len(shown))
                shown[row] = shown[row][:column] + piece + shown[row][column + len(piece) :]
                column += len(piece)
        return [line.rstrip() for line in shown]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen(60, 12)
    monkeypatch.setattr(os, "get_terminal_size", lambda _descriptor: screen.size)
    monkeypatch.setattr("time.time_ns", lambda: START + 3 * SECOND)
    return screen


@pytest.fixture
def tty(screen: Screen) -> Tty:
    tty = Tty(screen)  # type: ignore[arg-type]
    tty.began = START
    return tty


def test_a_terminal_shows_steps_with_times_and_the_output_of_those_that_run(tty: Tty, screen: Screen) -> None:
    tty.take(vertex("[1/3] FROM busybox", 0, 0.5, cached=True))
    tty.take(vertex("[2/3] RUN make", 1))
    tty.take({"id": "[2/3] RUN make", "log": "".join(f"line {number}\n" for number in range(10))})
    tty.take({"id": "later", "name": "[3/3] COPY . ."})
    tty.tick()
    assert screen.lines == [
        "[+] Building 3.0s (1/3)",
        " => CACHED [1/3] FROM busybox" + " " * 27 + "0.5s",
        " => [2/3] RUN make" + " " * 38 + "2.0s",
        *(f" => => # line {number}" for number in range(4, 10)),
    ]
    tty.take(vertex("[2/3] RUN make", 1, 2.5))
    tty.close()
    assert screen.lines == [
        "[+] Building 3.0s (2/3) FINISHED",
        " => CACHED [1/3] FROM busybox" + " " * 27 + "0.5s",
        " => [2/3] RUN make" + " " * 38 + "1.5s",
    ]
    assert screen.getvalue().endswith("\x1b[?25h")


def test_a_terminal_shows_no_more_than_it_has_room_for_and_all_at_the_end(tty: Tty, screen: Screen) -> None:
    for number in range(30):
        tty.take(vertex(f"step {number}", 0, 1 if number < 29 else None))
        tty.tick()
    assert len(screen.lines) <= 12
    assert screen.lines[-1].startswith(" => step 29")
    tty.close()
    assert len(screen.lines) == 31


def test_what_a_step_writes_does_not_draw(tty: Tty, screen: Screen) -> None:
    tty.take(vertex("RUN \x1b[2Jx"))
    tty.take({"id": "RUN \x1b[2Jx", "log": "\x1b[31mred\x1b[0m\ttab\x07\x1b]0;title\x07end\n" + "x" * 500})
    tty.tick()
    assert [line.split("  ")[0] for line in screen.lines[1:]] == [" => RUN x", " => => # red", " => => # " + "x" * 51]
    assert "\x1b[2J" not in screen.getvalue()


def test_a_failed_step_is_marked(tty: Tty, screen: Screen) -> None:
    tty.take(vertex("RUN false", 0, 1, error="exit code: 1"))
    tty.close()
    assert screen.lines[0] == "[+] Building 3.0s (1/1)"
    assert screen.lines[1].startswith(" => ERROR RUN false")


def test_no_color_is_heeded(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    tty = Tty(screen)  # type: ignore[arg-type]
    tty.take(vertex("RUN", 0, 1))
    tty.close()
    assert "\x1b[34m" not in screen.getvalue()
