"""Words of instructions, by the rules of the Dockerfile reference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.dockerfile.words import Lexer, expand, split_words
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
        ("${S/*-/}", "c"),
        ("${S#*-}", "b-c"),
        ("${S##*-}", "c"),
        ("${S%-*}", "a-b"),
        ("${S%%-*}", "a"),
        ("${S/$B/x}", "xa-b-c"),
        ("${S///}", "a-b-c"),
        ("${P//\\//|}", "|usr|local|lib.tar.gz"),
        ("${C:-a b}", "a b"),
        ("${A:+${B:-$S}}", "a-b-c"),
        ("\"'$A'\"", "'one'"),
        ('"\\\'"', "\\'"),
        ("é$Aé", "é"),
        ("a\\", "a"),
    ],
)
def test_variables_and_quotes(word: str, value: str) -> None:
    assert expand(word, VARIABLES) == value


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("${B:?x}", "B: x"),
        ("${B:?}", "B: is not allowed to be empty"),
        ("${C?}", "C: is not allowed to be unset"),
        ("${C?not $A}", "C: not one"),
        ("'", "matching single-quote"),
        ('"', "matching double-quote"),
        ("${}", "bad substitution"),
        ("${", "missing '}'"),
        ("${A", "missing '}'"),
        ("${A:-x", "missing '}'"),
        ("${A!x}", r"unsupported modifier \(!\)"),
        ("${A:=x}", r"unsupported modifier \(:=\)"),
        ("${A/x}", "missing '/'"),
        ("${A/x/", "missing '}'"),
        ("${A#\\x}", "invalid escape"),
    ],
)
def test_what_is_not_right_is_an_error(word: str, problem: str) -> None:
    with pytest.raises(InvalidParameter, match=f"failed to process .*{problem}"):
        expand(word, VARIABLES)


def test_another_character_may_take_meanings() -> None:
    assert expand('`$A\\$A "`$A"', VARIABLES, "`") == "$A\\one $A"
    assert split_words("a` b\\ c", "`") == ("a` b\\", "c")


def test_a_word_may_become_several() -> None:
    variables = {"W": " a b ", "Q": '"'}
    assert Lexer().expand("x$W'$W'y\\ z$Q", variables).words == ("x", "a", "b", '$Wy z"')


def test_a_word_tells_its_variables() -> None:
    found = Lexer().expand("$A ${C:-$D} ${B}", VARIABLES)
    assert (found.matched, found.unmatched) == ({"A", "B"}, {"C", "D"})


def test_quotes_and_unset_variables_may_stay() -> None:
    shown = Lexer(raw_quotes=True, keep_unset=True)
    assert shown.expand("'$A' \"$A\" $C ${C:-${D}}", VARIABLES).text == "'$A' \"one\" $C ${C:-${D}}"
    assert Lexer(literal_quotes=True).expand("'$A' \"", VARIABLES).text == "'one' \""


def test_a_pattern_of_many_stars_takes_no_longer() -> None:
    variables = {"V": "ab" * 20_000}
    for word in ("${V%%" + "a*b*" * 30 + "x}", "${V##" + "a*b*" * 30 + "x}", "${V//" + "a*b*" * 30 + "x/}"):
        assert expand(word, variables) == variables["V"]


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
