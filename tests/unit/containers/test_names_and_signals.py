"""Names of containers and of signals."""

from __future__ import annotations

import signal

import pytest

from transom.containers.names import check_name, make_id, make_name
from transom.containers.signals import parse_signal
from transom.errors import InvalidParameter


@pytest.mark.parametrize("name", ["web", "/web", "a1", "A_b.c-d", "0x"])
def test_a_good_name_is_kept_without_its_slash(name: str) -> None:
    assert check_name(name) == name.removeprefix("/")


@pytest.mark.parametrize("name", ["a", "", "-a", "a b", "a/b", "äb", "a\n", "//a1"])
def test_a_name_that_breaks_dockers_rules_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid container name"):
        check_name(name)


def test_made_up_names_and_ids_keep_the_rules() -> None:
    assert check_name(make_name())
    identity = make_id()
    assert len(identity) == 64
    assert not identity[:12].isdecimal()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9", 9),
        ("KILL", 9),
        ("SIGKILL", 9),
        ("sigterm", 15),
        ("RTMIN+3", signal.SIGRTMIN + 3),
        ("SIGRTMAX-1", signal.SIGRTMAX - 1),
    ],
)
def test_a_signal_is_known_by_number_and_name(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "-1", "65", "SIGNOTHING", "RTMIN+x", "9.5"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid signal"):
        parse_signal(text)
