"""`driver compare`: what is asked of the daemon, and its numbers as a table, JSON and a page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transom_cli.driver_compare import quantity

Capture = pytest.CaptureFixture[str]
Transom = Callable[..., int]

RESULT = {
    "Workload": "random",
    "Measure": "read",
    "About": "read <pages>",
    "Unit": "B/s",
    "MoreIsBetter": True,
    "Method": "own code",
    "Drivers": {
        "overlay": {"Values": [2048.0, 1024.0, 1536.0], "Median": 1536.0, "Spread": 2 / 3},
        "native": {"Values": [4096.0], "Median": 4096.0, "Spread": 0.0},
    },
    "Failures": {"vfs": "it has <no> space"},
    "Order": ["overlay"],
    "Apart": False,
    "Ahead": None,
    "Verdict": "overlay wins. It is the only one.",
}
FOUND = {
    "Kind": "graph",
    "Drivers": ["overlay", "vfs", "native"],
    "Image": "app:1",
    "Runs": 3,
    "Quick": False,
    "Machine": {"Kernel": "Linux <6>"},
    "Results": [RESULT],
}


@pytest.fixture
def compared(daemon: Any) -> Any:
    daemon.on("POST", "/drivers/compare", {"aux": FOUND})
    return daemon


def test_the_table_has_medians_and_says_what_failed(compared: Any, transom: Transom, capfd: Capture) -> None:
    assert transom("driver", "compare", "overlay", "vfs", "--image", "app:1", "--workload", "random") == 0
    shown = capfd.readouterr()
    assert shown.out.splitlines() == [
        "WORKLOAD      OVERLAY         VFS       NATIVE       BEST",
        "random read   1.5KiB/s ±33%   -         4KiB/s ±0%   -",
    ]
    assert shown.err == "vfs could not do random read: it has <no> space\n"
    assert compared.requests[0].json == {
        "Drivers": ["overlay", "vfs"],
        "Kind": "graph",
        "Image": "app:1",
        "Workloads": ["random"],
        "Runs": 3,
        "Quick": False,
    }


@pytest.mark.parametrize(
    ("standing", "best"),
    [
        ({"Order": ["vfs", "overlay"], "Apart": True, "Ahead": 1.25}, "vfs, 1.25x"),
        ({"Order": ["vfs", "overlay"], "Apart": True, "Ahead": None}, "vfs"),
        ({"Order": ["vfs", "overlay"], "Apart": False, "Ahead": 1.25}, "vfs ≈ overlay"),
    ],
)
def test_the_table_says_who_is_best_or_not_to_be_told_apart(
    daemon: Any, transom: Transom, capfd: Capture, standing: dict[str, Any], best: str
) -> None:
    result = {**RESULT, "Workload": "copy-up", "Measure": "copy-up", "Failures": {}, **standing}
    daemon.on("POST", "/drivers/compare", {"aux": {**FOUND, "Results": [result], "Quick": True}})
    assert transom("driver", "compare", "overlay", "vfs", "--quick") == 0
    shown = capfd.readouterr()
    line = shown.out.splitlines()[1]
    assert (line.split()[0], line.endswith(f"   {best}")) == ("copy-up", True)
    assert shown.err == "Quick: each workload did only a little, so these numbers mean little.\n"
    assert daemon.requests[0].json["Quick"] is True


def test_numbers_go_to_a_file_or_to_standard_output(
    compared: Any, transom: Transom, capfd: Capture, tmp_path: Path
) -> None:
    assert transom("driver", "compare", "--exec", "a", "--json", "-") == 0
    assert json.loads(capfd.readouterr().out) == FOUND
    assert compared.requests[0].json["Kind"] == "exec"
    path = tmp_path / "numbers"
    assert transom("driver", "compare", "a", "--json", str(path)) == 0
    assert json.loads(path.read_text()) == FOUND


def test_the_page_has_all_values_and_no_markup_of_others(compared: Any, transom: Transom, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert transom("driver", "compare", "a", "--html", str(path)) == 0
    page = path.read_text()
    for text in (
        "1.5KiB/s",
        "2KiB/s, 1KiB/s, 1.5KiB/s",
        "it has &lt;no&gt; space",
        "Linux &lt;6&gt;",
        RESULT["Verdict"],
    ):
        assert str(text) in page
    assert "transom driver compare overlay vfs --image app:1 --workload random --runs 3" in page
    assert "<no>" not in page
    assert "<script" not in page


def test_a_file_that_cannot_be_written_is_refused_before_any_work(
    compared: Any, transom: Transom, capfd: Capture
) -> None:
    assert transom("driver", "compare", "a", "--html", "/no/such/page") == 1
    assert "no such file or directory" in capfd.readouterr().err
    assert compared.requests == []


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1.5, "s", "1.5s"),
        (0.0123, "s", "12.3ms"),
        (0.000012, "s", "12µs"),
        (0, "s", "0µs"),
        (1536, "B", "1.5KiB"),
        (2**20, "B/s", "1MiB/s"),
    ],
)
def test_quantities_are_written_as_people_read_them(value: float, unit: str, shown: str) -> None:
    assert quantity(value, unit) == shown
