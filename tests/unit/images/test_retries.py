"""How long a failed download waits, and when it is given up."""

import email.utils
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.errors import Cancelled
from transom_images.retries import Retries, parse_retry_after
from transom_images.transport import Interrupted


def test_seconds_are_understood() -> None:
    assert parse_retry_after(" 17 ") == 17


def test_a_date_is_understood_as_the_time_until_then() -> None:
    seconds = parse_retry_after(email.utils.formatdate(time.time() + 3600, usegmt=True))
    assert seconds is not None
    assert 3500 < seconds <= 3600


def test_a_date_that_has_passed_means_at_once() -> None:
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0


@given(st.text(max_size=40))
def test_no_header_breaks_the_parser(header: str) -> None:
    assert (parse_retry_after(header) or 0) >= 0


def test_too_many_failures_in_a_row_are_raised() -> None:
    retries = Retries(1, lambda: None)
    failure = Interrupted("lost")
    with pytest.raises(Interrupted) as caught:
        retries.wait(failure)
    assert caught.value is failure


def test_a_server_that_wants_an_hour_is_not_waited_for() -> None:
    with pytest.raises(Interrupted):
        Retries(5, lambda: None).wait(Interrupted("busy", 3600))


def test_progress_makes_the_count_start_again() -> None:
    retries = Retries(2, lambda: None)
    for _ in range(5):
        retries.wait(Interrupted("busy", 0))
        retries.progressed()


def test_the_wait_is_announced_and_can_be_cancelled() -> None:
    announced: list[int] = []

    def check() -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        Retries(5, check, announced.append).wait(Interrupted("busy", 41.5))
    assert announced == [42]
