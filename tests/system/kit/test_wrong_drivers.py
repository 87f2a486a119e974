"""The conformance suites notice what is wrong with a driver: a test fails for one that breaks its sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from testbed.wrong import exec as wrong_exec
from testbed.wrong import graph as wrong_graph
from testbed.wrong import log as wrong_log
from testbed.wrong import network as wrong_network
from testbed.wrong import volume as wrong_volume

TESTS = Path(__file__).parents[2]

HEAD = """
import transom.testing.exec
from transom.testing.{module} import {suite}

#: Who does not do something needs not be waited for as long as who does it.
transom.testing.exec._PATIENCE = {patience}
"""
CASE = """
from {driver.__module__} import {driver.__name__}

class Test{noticed.__name__}({suite}):
    driver_class = {driver.__name__}
"""


def run(directory: Path, module: str, suite: str, drivers: Sequence[type[Any]], *, right: bool) -> dict[str, str]:
    """Run the test that should notice each driver, and return what was said, by the driver's name.

    With `right` they are the tests of the drivers that the wrong ones were made from.
    """
    directory.mkdir()
    content = HEAD.format(module=module, suite=suite, patience=30 if right else 3)
    for driver in drivers:
        tested = _origin(driver) if right else driver
        content += CASE.format(driver=tested, noticed=driver, suite=suite)
    (directory / "test_drivers.py").write_text(content)
    (directory / "pytest.ini").write_text("[pytest]\nfilterwarnings = ignore::pytest.PytestUnknownMarkWarning\n")
    options = ["-q", "-p", "no:cacheprovider", "--tb=line", "--junitxml=report.xml", "--basetemp", directory / "files"]
    chosen = [f"test_drivers.py::Test{driver.__name__}::{driver.noticed}" for driver in drivers]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *chosen],
        cwd=directory,
        # Where `CI` is set pytest works out all of a difference, which must not take long either.
        env={**os.environ, "PYTHONPATH": str(TESTS), "CI": "true"},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    said: dict[str, str] = {driver.__name__: "" for driver in drivers}
    for case in ET.parse(directory / "report.xml").getroot().iter("testcase"):
        name = case.get("classname", "").removeprefix("test_drivers.Test")
        said[name] += "".join(item.get("message") or item.tag for item in case)
    return said


def _origin(driver: type[Any]) -> type[Any]:
    """Return what a wrong driver derives from and is right."""
    return next(base for base in driver.__mro__ if "noticed" not in vars(base))


@pytest.mark.parametrize(
    ("module", "suite", "drivers"),
    [
        ("log", "ReadableLogSuite", wrong_log.DRIVERS),
        ("volume", "VolumeDriverSuite", wrong_volume.DRIVERS),
        *(
            pytest.param(*case, marks=pytest.mark.exhaustive)
            for case in (
                ("graph_endurance", "GraphEnduranceSuite", wrong_graph.DRIVERS),
                ("graph_files", "GraphFilesSuite", wrong_graph.FILES),
                ("exec", "ExecDriverSuite", wrong_exec.DRIVERS),
                ("network", "NetworkDriverSuite", wrong_network.DRIVERS),
            )
        ),
    ],
)
def test_a_wrong_driver_is_noticed_and_a_right_one_passes(
    tmp_path: Path, module: str, suite: str, drivers: Sequence[type[Any]]
) -> None:
    wrong = run(tmp_path / "wrong", module, suite, drivers, right=False)
    assert [name for name, said in wrong.items() if not said] == []
    right = run(tmp_path / "right", module, suite, drivers, right=True)
    assert {name: said for name, said in right.items() if said} == {}
