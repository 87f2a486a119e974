"""Words of instructions, by the rules of the Dockerfile reference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.dockerfile.words import expand, split_words
from transom.errors import InvalidParameter

VARIABLES = {"A": "one", "B": "", "P": "/usr/local/lib.tar.gz", "S": "a-b-c"}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("plain", "plain"),
        ("$A$B$A", "oneone"),
        ("${A}x$Ax", "onex"),
        ("\\$A", "$A"),
        ("'$A'", "$A"),
        ('"$A \\$A \\n \\""', 'one $A \\n "'),
        ("a'b'\"c\"\\d", "abcd"),
        ("$", "$"),
        ("$$", ""),
        ("$1x", "x"),
        ("${A:-x}${B:-x}${C:-x}", "onexx"),
        ("${A-x}${B-x}${C-x}", "onex"),
        ("${A:+x}${B:+x}${C:+x}", "x"),
        ("${A+x}${B+x}${C+x}", "xx"),
        ("${C:-${D:-$A}}", "one"),
        ("${C:-'}'}", "}"),
        ("${A:?wrong}", "one"),
        ("${P#*/}", "usr/local/lib.tar.gz"),
        ("${P##*/}", "lib.tar.gz"),
        ("${P%.*}", "/usr/local/lib.tar"),
        ("${P%%.*}", "/usr/local/lib"),
        ("${P#x}", "/usr/local/lib.tar.gz"),
        ("${S/-/+}", "a+b-c"),
        ("${S//-/+}", "a+b+c"),
        ("${S//?-/}", "c"),
    ],
)
def test_variables_and_quotes(word: str, value: str) -> None:
    assert expand(word, VARIABLES) == value


@pytest.mark.parametrize("word", ["${A:?x}${B:?x}", "${C?}", "'", '"', "${}", "${A!x}", "${A/x}", "${A:-x"])
def test_what_is_not_complete_is_an_error(word: str) -> None:
    with pytest.raises(InvalidParameter, match="failed to process"):
        expand(word, VARIABLES)


def test_words_end_at_spaces_that_are_not_quoted() -> None:
    assert split_words(" a  b\\ c 'd e'\"f g\"\th ") == ("a", "b\\ c", "'d e'\"f g\"", "h")
    assert split_words("") == ()


@given(st.text(alphabet="aA$\\{}'\"#%/:-+? *"))
def test_any_text_is_a_word_or_an_error(text: str) -> None:
    for word in split_words(text):
        try:
            assert isinstance(expand(word, VARIABLES), str)
        except InvalidParameter:
            continue
