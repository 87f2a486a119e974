"""What a `.dockerignore` leaves out, by Docker's rules."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.dockerfile import ignore
from transom.dockerfile.ignore import PatternError, Patterns, ignore_names


@pytest.mark.parametrize(
    ("pattern", "path", "left_out"),
    [
        ("**", "file", True),
        ("**/", "dir/file", True),
        ("**/**", "dir/file", True),
        ("dir/**", "dir/dir2/file", True),
        ("dir/**", "dir", False),
        ("**/dir", "dir/file", True),
        ("**/dir2/*", "dir/dir2/file/below", True),
        ("**/dir2/**", "dir/dir2/dir3/file", True),
        ("**file", "dir/myfile", True),
        ("**/file", "dir/dir/file", True),
        ("**/file", "dir/myfile", False),
        ("**/file*.txt*", "dir/dir/file.txt", True),
        ("**/**/*.txt", "file.txt", True),
        ("**/**/*.txt2", "dir/dir/file.txt", False),
        ("a**/*.txt", "a/dir/dir/file.txt", True),
        ("a/*.txt", "a/dir/file.txt", False),
        ("a/*.txt**", "a/file.txt.old", True),
        ("a[b-d]e", "ace", True),
        ("a[^b-d]e", "ace", False),
        (".*", ".git/config", True),
        ("abc.def", "abcZdef", False),
        ("abc?def", "abcZdef", True),
        ("**/.foo", "bar.foo", False),
        ("a(b)c/def", "a(b)c/def", True),
        ("a\\*b", "a*b", True),
        ("**a**b", "a/ab", True),
        ("a*b**c", "abbc", True),
        ("a*b**c", "ab/x/c", True),
        ("a*b**c", "ab/xc", False),
        ("foo/", "foo", True),
        ("/foo", "foo/x", True),
        ("./foo/../bar//baz", "bar/baz", True),
        ("  bar ", "bar", True),
        ("../x", "x", False),
        ("/", "x", False),
    ],
)
def test_a_pattern_leaves_out_a_path_and_what_is_below_it(pattern: str, path: str, left_out: bool) -> None:
    assert Patterns.parse(pattern).matches(path) is left_out


@pytest.mark.parametrize(
    ("text", "path", "left_out"),
    [
        ("*.md\n!README.md\n", "README.md", False),
        ("!README.md\n*.md\n", "README.md", True),
        ("*.md\n!README*.md\nREADME-secret.md\n", "README-secret.md", True),
        ("docs\n!docs/README.md\n", "docs/README.md", False),
        ("docs/*\n!docs/README.md\n", "docs/other", True),
        ("**\n!util/web\n", "util/web/foo", False),
        ("**\n!util/web\nutil/web/foo\n", "util/web/foo", True),
        ("# *\nx\n", "y", False),
        (" # x\n", "# x", True),
        ("\ufeffx\r\ny\r\n", "x", True),
        ("a\n! /b/ \n", "b", False),
        ("*\n!/b/\n", "b/c", False),
    ],
)
def test_the_last_pattern_that_speaks_of_a_path_decides(text: str, path: str, left_out: bool) -> None:
    assert Patterns.parse(text).matches(path) is left_out


@pytest.mark.parametrize("text", ["!", "a\n! ", "[", "a[b", "\\"])
def test_a_pattern_that_means_nothing_is_an_error(text: str) -> None:
    with pytest.raises(PatternError):
        Patterns.parse(text)


@pytest.mark.parametrize(
    ("text", "directory", "may"),
    [
        ("a\n", "a", False),
        ("*\n!a/b\n", "a", True),
        ("*\n!a/b\n", "c", False),
        ("*\n!*/b\n", "c", True),
        ("*\n!a/b\n", "a/b/c", True),
        ("*\n!src\nsrc/modules\n", "src/modules", False),
        ("*\n!src\nsrc/modules\n!src/modules/x\n", "src/modules", True),
    ],
)
def test_a_walk_looks_into_what_is_left_out_only_for_exceptions(text: str, directory: str, may: bool) -> None:
    assert Patterns.parse(text).may_hold_exceptions(directory) is may


def test_the_file_beside_the_dockerfile_comes_first() -> None:
    assert ignore_names("web.Dockerfile") == ("web.Dockerfile.dockerignore", ".dockerignore")


_NAMES = ("a", "ab", "b")
_PATHS = ["/".join(names) for count in (1, 2, 3) for names in product(_NAMES, repeat=count)]


@given(st.lists(st.text(alphabet="ab*?/!", min_size=1, max_size=7), max_size=4))
def test_a_walk_misses_nothing_that_is_not_left_out(lines: list[str]) -> None:
    try:
        patterns = Patterns.of(lines)
    except PatternError:
        return
    for path in _PATHS:
        above = path.rpartition("/")[0]
        if above and patterns.matches(above) and not patterns.matches(path):
            assert patterns.may_hold_exceptions(above)


@given(st.text(alphabet="ab*?/", min_size=1, max_size=8), st.sampled_from(_PATHS))
def test_the_quick_way_to_match_says_what_the_slow_one_says(pattern: str, path: str) -> None:
    (rule,) = Patterns.of([pattern]).rules
    ends = ignore._ends(rule._tokens, path)
    assert rule.matches(path) == any(path[end : end + 1] in ("", "/") for end in ends)


def test_many_stars_end_where_one_does() -> None:
    assert not Patterns.of(["**/a/" * 30 + "b"]).matches("a/" * 1000 + "c")
    assert not Patterns.of(["*" + "a*" * 40 + "b"]).matches("a" * 3000)
    assert not Patterns.of(["a**" * 20 + "b"]).matches("a/" * 300)


def test_the_module_needs_the_standard_library_alone() -> None:
    code = "import sys, transom.dockerfile.ignore; print([name for name in sys.modules if name.startswith('transom')])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ["transom", "transom.dockerfile", "transom.dockerfile.globs", "transom.dockerfile.ignore"]
    assert result.stdout.strip() == str(loaded)
