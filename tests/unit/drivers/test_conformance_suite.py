"""The conformance suites run from outside in a few lines, and find what is wrong with a driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

pytest_plugins = ["pytester"]

OUTSIDE = """
from transom_jsonfile.driver import JsonFileDriver
from transom.testing.log import ReadableLogSuite

class Outside({base}):
    name = "outside"
    {wrong}

class TestOutside(ReadableLogSuite):
    driver_class = Outside
"""


def test_a_good_driver_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(OUTSIDE.format(base="JsonFileDriver", wrong=""))
    result = pytester.runpytest_subprocess("-q")
    result.assert_outcomes(passed=result.parseoutcomes()["passed"])


def test_a_driver_that_forgets_is_found_out_with_an_explanation(pytester: pytest.Pytester) -> None:
    wrong = "def reader(self, *, tail=None, **rest): return super().reader(tail=None, **rest)"
    pytester.makepyfile(OUTSIDE.format(base="JsonFileDriver", wrong=wrong))
    result = pytester.runpytest_subprocess("-q", "-k", "tail")
    assert result.parseoutcomes()["failed"] == 4
    result.stdout.fnmatch_lines(["*At index 0 diff*"])
