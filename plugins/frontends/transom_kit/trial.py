"""A driver on trial: its kind's conformance suite, run by pytest in a process and a directory of their own."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import click

from transom.drivers.base import Driver
from transom.drivers.log import LogDriver
from transom.errors import TransomError
from transom_kit.finding import find_driver

__all__ = ["Outcome", "Trial", "run_suite"]

#: By kind: the module and the class of the suite.
_SUITES = {
    "graph": ("transom.testing.graph_endurance", "GraphEnduranceSuite"),
    "exec": ("transom.testing.exec", "ExecDriverSuite"),
    "volume": ("transom.testing.volume", "VolumeDriverSuite"),
    "network": ("transom.testing.network", "NetworkDriverSuite"),
    "log": ("transom.testing.log", "ReadableLogSuite"),
}
_MODULE = """
from pathlib import Path

from {module} import {suite}
from transom_kit.finding import load_driver

class TestDriver({suite}):
    driver_class = load_driver({kind!r}, {name!r}, Path.cwd())
    options = {options!r}
"""
_CONFIGURATION = "[pytest]\nfilterwarnings =\n    ignore::pytest.PytestUnknownMarkWarning\n"


@dataclass(frozen=True)
class Outcome:
    """What became of one test; `message` is empty if it passed."""

    area: str
    test: str
    message: str = ""


@dataclass(frozen=True)
class Trial:
    """What became of a driver's tests."""

    driver: str
    outcomes: tuple[Outcome, ...]

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The tests that failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.message)

    def report(self) -> str:
        """Return a table of the areas, what failed, and the verdict."""
        areas = list(dict.fromkeys(outcome.area for outcome in self.outcomes))
        width = max(len(area) for area in (*areas, "AREA")) + 3
        lines = [f"{'AREA':{width}}PASSED   FAILED"]
        for area in areas:
            here = [outcome for outcome in self.outcomes if outcome.area == area]
            failed = sum(bool(outcome.message) for outcome in here)
            lines.append(f"{area:{width}}{len(here) - failed:<9}{failed}")
        lines += [f"\nFAILED {outcome.test}\n       {outcome.message}" for outcome in self.failed]
        count = len(self.failed)
        broken = f"breaks its contract: {count} of {len(self.outcomes)} tests failed"
        verdict = broken if count else "keeps its contract"
        return "\n".join([*lines, "", f"{self.driver} {verdict}."])


def run_suite(name: str, kind: str, options: Mapping[str, str], storage: Path | None, *, verbose: bool) -> Trial:
    """Run the suite of a driver's kind. Raises `click.ClickException` (exit status 2) if that cannot be done."""
    for module in ("pytest", "hypothesis"):
        if importlib.util.find_spec(module) is None:
            raise _Impossible(f"{module} is not installed, which the suites need: pip install 'transom[testing]'")
    try:
        driver, origin = find_driver(name, kind, storage)
    except TransomError as error:
        raise _Impossible(str(error)) from error
    if driver.kind != "log" and os.geteuid() != 0:
        raise _Impossible(f"the suite of {driver.kind} drivers needs root")
    module, suite = _suite(driver)
    try:
        with tempfile.TemporaryDirectory(prefix="transom-driver-test-", dir=storage) as scratch:
            directory = Path(scratch)
            text = _MODULE.format(module=module, suite=suite, kind=driver.kind, name=name, options=dict(options))
            (directory / "test_driver.py").write_text(text)
            (directory / "pytest.ini").write_text(_CONFIGURATION)
            said, ended = _run_pytest(directory, verbose)
            if not (directory / "report.xml").exists() or ended not in (0, 1):
                raise _Impossible(f"pytest ended with {ended}:\n{said}")
            outcomes = _read(directory / "report.xml", module, suite)
    except OSError as error:
        raise _Impossible(f"the suite cannot be run: {error}") from error
    return Trial(f"The {driver.kind} driver {name} of {origin}", outcomes)


class _Impossible(click.ClickException):
    """Whether a driver keeps its contract cannot be found out."""

    exit_code = 2


def _suite(driver: type[Driver]) -> tuple[str, str]:
    module, suite = _SUITES[driver.kind]
    if issubclass(driver, LogDriver) and not driver.readable:
        suite = "LogDriverSuite"
    return module, suite


def _run_pytest(directory: Path, verbose: bool) -> tuple[str, int]:
    """Run the tests, and return what pytest said and its exit code."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--junitxml=report.xml", "--tb=short"]
    command += ["--basetemp", str(directory / "files"), "-v" if verbose else "-q", "test_driver.py"]
    done = subprocess.run(command, cwd=directory, stdout=None if verbose else subprocess.PIPE, stderr=subprocess.STDOUT)
    return (done.stdout or b"").decode(errors="replace"), done.returncode


def _read(report: Path, module: str, suite: str) -> tuple[Outcome, ...]:
    """Return the outcomes of a report as pytest writes it for Jenkins (junit)."""
    found: dict[str, Outcome] = {}
    tests = getattr(importlib.import_module(module), suite)
    for case in ET.parse(report).getroot().iter("testcase"):
        test = case.get("name", "")
        wrong = [item for item in case if item.tag in ("failure", "error", "skipped")]
        message = "; ".join((item.get("message") or item.tag).split("\n")[0][:300] for item in wrong)
        if test not in found or message:
            found[test] = Outcome(_area(tests, test), test, message)
    return tuple(found.values())


def _area(suite: type, test: str) -> str:
    """Return the comment above a group of tests that a test is in; a suite is divided by them."""
    function = getattr(suite, test.partition("[")[0], None)
    if function is None:
        return "The suite itself"
    if hasattr(function, "hypothesis"):
        function = function.hypothesis.inner_test
    file, line = inspect.getsourcefile(function), inspect.getsourcelines(function)[1]
    above = Path(file or os.devnull).read_text().splitlines()[:line]
    for text in reversed(above):
        if (comment := re.fullmatch(r"    # ([A-Z].*[^.])", text)) is not None:
            return comment[1]
        if text.startswith("class "):
            break
    return "The contract"
