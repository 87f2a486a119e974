"""Times and durations in the forms of the API."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.errors import InvalidParameter
from transom_api.times import fixed_time, format_time, human_duration, parse_time

moments = st.integers(1, 253402300799 * 10**9)


@given(moments)
def test_a_time_that_was_formatted_is_read_back(moment):
    assert parse_time(format_time(moment), "since") == moment
    assert parse_time(fixed_time(moment), "since") == moment


@given(moments)
def test_a_time_in_seconds_is_read_back(moment):
    seconds, rest = divmod(moment, 10**9)
    assert parse_time(f"{seconds}.{rest:09d}", "since") == moment


def test_times_have_the_digits_that_docker_gives_them():
    assert format_time(0) == "0001-01-01T00:00:00Z"
    assert format_time(1_700_000_000_000_000_000) == "2023-11-14T22:13:20Z"
    assert format_time(1_700_000_000_120_000_000) == "2023-11-14T22:13:20.12Z"
    assert fixed_time(1_700_000_000_120_000_000) == "2023-11-14T22:13:20.120000000Z"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1700000000", 1_700_000_000),
        ("1700000000.5", 1_700_000_000.5),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000),
        ("2023-11-14t22:13:20.5z", 1_700_000_000.5),
    ],
)
def test_times_are_read_in_every_form(text, seconds):
    assert parse_time(text, "since") == int(seconds * 10**9)


@pytest.mark.parametrize("text", ["", "0", "0.0"])
def test_no_time_is_no_time(text):
    assert parse_time(text, "since") is None


@pytest.mark.parametrize("text", ["soon", "-1", "1e9", "2023-13-01T00:00:00Z", "2023-11-14", "1.2.3", "1" * 40])
def test_what_is_no_time_is_refused_with_the_name_of_the_parameter(text):
    with pytest.raises(InvalidParameter, match="for until"):
        parse_time(text, "until")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "Less than a second"),
        (0.9, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (59 * 60, "59 minutes"),
        (3600, "About an hour"),
        (3600 * 2, "2 hours"),
        (3600 * 47, "47 hours"),
        (3600 * 48, "2 days"),
        (86400 * 14, "2 weeks"),
        (86400 * 60, "2 months"),
        (86400 * 365 * 2, "2 years"),
    ],
)
def test_durations_are_worded_as_docker_words_them(seconds, words):
    assert human_duration(seconds) == words
