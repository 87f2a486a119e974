"""Patterns of file names: Go's rules, and no pattern that takes long."""

from __future__ import annotations

import pytest

from transom.dockerfile.globs import Glob, PatternError, has_wildcards, split_wildcards


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("abc", "abc", True),
        ("abc", "abcd", False),
        ("*", "abc", True),
        ("*", "a/b", False),
        ("a*", "a", True),
        ("a*/b", "abc/b", True),
        ("a*/b", "a/c/b", False),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", True),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", False),
        ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("a*b?c*x", "abxbbxdbxebxczzy", False),
        ("ab[b-d]", "abc", True),
        ("ab[^b-d]", "abc", False),
        ("ab[^e-g]", "abc", True),
        ("a[^a]b", "a/b", False),
        ("a?b", "aéb", True),
        ("[a-z]*", "é", False),
        ("a\\*b", "a*b", True),
        ("a\\*b", "axb", False),
        ("[\\]a]", "]", True),
        ("[x\\-]", "-", True),
        ("arr[[]0].txt", "arr[0].txt", True),
        ("a.b", "axb", False),
        ("*.*", "a\nb.c", True),
    ],
)
def test_a_pattern_is_about_whole_paths(pattern: str, path: str, matches: bool) -> None:
    assert Glob(pattern).matches(path) is matches


@pytest.mark.parametrize("pattern", ["[]a]", "[-]", "[x-]", "[-x]", "\\", "a\\", "[a-b-c]", "[", "[^", "[^bc", "a["])
def test_a_pattern_that_means_nothing_is_an_error(pattern: str) -> None:
    with pytest.raises(PatternError):
        Glob(pattern).matches("a")


def test_a_walk_looks_only_where_something_can_be() -> None:
    glob = Glob("a*/[bc]/*.txt")
    assert [path for path in ("", "a1", "b", "a1/b", "a1/d", "a1/b/x") if glob.matches_above(path)] == [
        "",
        "a1",
        "a1/b",
    ]


def test_a_pattern_begins_at_the_first_name_that_is_one() -> None:
    assert split_wildcards("a/b*/c") == ("a", "b*/c")
    assert split_wildcards("/*") == ("/", "*")
    assert split_wildcards("a/b") == ("a/b", "")
    assert split_wildcards("[ab]") == ("", "[ab]")


def test_a_wildcard_with_a_backslash_is_none() -> None:
    assert not has_wildcards("a\\*b")
    assert has_wildcards("a\\\\*b")


def test_many_stars_end_where_one_does() -> None:
    assert Glob("*a" * 60 + "b").matches("a" * 3000) is False
    assert Glob("*a" * 60 + "*").matches("a" * 3000) is True
