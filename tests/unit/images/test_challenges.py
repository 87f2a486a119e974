"""WWW-Authenticate headers as registries write them, and as nobody should."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.errors import TransomError
from transom_images.authentication import Challenge, parse_challenges

TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=10)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
CHALLENGES = st.lists(st.builds(Challenge, TOKENS, st.dictionaries(TOKENS, VALUES, min_size=1)), min_size=1, max_size=3)


def quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def test_the_challenge_of_docker_hub_is_understood() -> None:
    header = (
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
        'scope="repository:library/busybox:pull,push"'
    )
    assert parse_challenges(header) == (
        Challenge(
            "bearer",
            {
                "realm": "https://auth.docker.io/token",
                "service": "registry.docker.io",
                "scope": "repository:library/busybox:pull,push",
            },
        ),
    )


def test_several_challenges_in_one_header_are_kept_apart() -> None:
    header = 'Negotiate abc==, Basic realm="a, b", Bearer realm="https://t", error="insufficient_scope"'
    assert parse_challenges(header) == (
        Challenge("negotiate", {}),
        Challenge("basic", {"realm": "a, b"}),
        Challenge("bearer", {"realm": "https://t", "error": "insufficient_scope"}),
    )


def test_an_unquoted_realm_is_understood_although_the_grammar_forbids_it() -> None:
    assert parse_challenges("Bearer realm=https://host/token,service=x") == (
        Challenge("bearer", {"realm": "https://host/token", "service": "x"}),
    )


def test_an_empty_header_has_no_challenges() -> None:
    assert parse_challenges(" , ") == ()


def test_what_is_no_challenge_is_refused() -> None:
    with pytest.raises(TransomError, match="unknown way"):
        parse_challenges('"quoted" nonsense')


@given(CHALLENGES)
def test_every_list_of_challenges_survives_being_written_and_read(challenges: list[Challenge]) -> None:
    header = ", ".join(
        f"{item.scheme} " + ", ".join(f"{name}={quote(value)}" for name, value in item.parameters.items())
        for item in challenges
    )
    assert parse_challenges(header) == tuple(challenges)


@given(st.text(st.characters(max_codepoint=255), max_size=80) | st.text('Basic="\\, \t', max_size=40))
def test_no_header_breaks_the_parser(header: str) -> None:
    try:
        parse_challenges(header)
    except TransomError:
        pass
