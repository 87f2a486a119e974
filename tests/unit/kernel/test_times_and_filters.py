"""Times as people write them, and what filters have in common."""

from __future__ import annotations

import pytest

from transom.errors import InvalidParameter
from transom.filters import Labels, parse_truth, parse_until, refuse_unknown
from transom.times import SECOND, parse_duration, parse_moment


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("1h30m", 5400 * SECOND),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("1.s", SECOND),
        ("-10ms", -10_000_000),
        ("+3us2ns", 3002),
        ("0.1s", 100_000_000),
    ],
)
def test_a_duration_has_units(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "-", "5", "1d", "s", ".s", "1s ", "--1s", "1s5", "1e3s", "9999999999h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="invalid duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1700000000", 1_700_000_000 * SECOND),
        ("1700000000.5", 1_700_000_000 * SECOND + SECOND // 2),
        ("2023-11-14T22:13:20Z", 1_700_000_000 * SECOND),
        ("2023-11-14T23:13:20.000000001+01:00", 1_700_000_000 * SECOND + 1),
        ("1970-01-02Z", 86400 * SECOND),
        ("10s", 90 * SECOND),
    ],
)
def test_a_moment_is_a_time_or_a_duration_before_now(text: str, nanoseconds: int) -> None:
    assert parse_moment(text, now=100 * SECOND) == nanoseconds


@pytest.mark.parametrize("text", ["", "soon", "2023-13-01", "2023-11-14T99:00Z", "14.11.2023"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="failed to parse value as time or duration"):
        parse_moment(text)


def test_filters_of_other_names_are_refused() -> None:
    refuse_unknown({"label": ("a",)}, ("label", "until"))
    with pytest.raises(InvalidParameter, match="invalid filter 'name'"):
        refuse_unknown({"name": ("a",)}, ("label", "until"))


def test_a_truth_is_one_value() -> None:
    assert [parse_truth({"x": (value,)}, "x") for value in ("true", "0")] == [True, False]
    assert parse_truth({}, "x") is None
    for values in (("maybe",), ("true", "false")):
        with pytest.raises(InvalidParameter, match="it should be true or false"):
            parse_truth({"x": values}, "x")


def test_the_earliest_until_counts() -> None:
    assert parse_until({"until": ("20", "10")}) == 10 * SECOND
    assert parse_until({}) is None


def test_labels_are_wanted_and_unwanted() -> None:
    labels = Labels.parse({"label": ("a", "b=1"), "label!": ("c", "d=2")})
    assert labels.accept({"a": "", "b": "1", "d": "3"})
    assert not labels.accept({"a": "", "b": "2"})
    assert not labels.accept({"b": "1"})
    assert not labels.accept({"a": "", "b": "1", "c": ""})
    assert not labels.accept({"a": "", "b": "1", "d": "2"})
