"""How Go writes texts, characters and durations."""

from __future__ import annotations

import pytest

from transom.dockerfile.notation import duration, quoted, quoted_character
from transom.times import parse_duration


@pytest.mark.parametrize(
    "text", ["0s", "1ns", "1.5µs", "20ms", "1.002s", "59.999999999s", "1m0s", "1m30s", "26h0m0.5s"]
)
def test_durations_are_written_as_go_writes_them(text: str) -> None:
    assert duration(parse_duration(text)) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a b", '"a b"'),
        ('"\\', '"\\"\\\\"'),
        ("\n\t\x01\x7f", '"\\n\\t\\x01\\x7f"'),
        ("é漢", '"é漢"'),
        ("\u200b\U000e0001", '"\\u200b\\U000e0001"'),
    ],
)
def test_texts_are_quoted_as_go_quotes_them(text: str, written: str) -> None:
    assert quoted(text) == written


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, r"'\x00'"), (3, r"'\x03'"), (10, r"'\n'"), (39, r"'\''"), (34, "'\"'"), (100, "'d'"), (2**31 - 1, "'\ufffd'")],
)
def test_numbers_are_quoted_as_go_quotes_characters(number: int, written: str) -> None:
    assert quoted_character(number) == written
