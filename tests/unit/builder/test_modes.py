"""Modes as chmod takes them, compared with chmod itself."""

import subprocess
from pathlib import Path

import pytest

from transom.errors import InvalidParameter
from transom_builder.modes import parse_mode

WORDS = [
    "0",
    "755",
    "4711",
    "u=rwx,g=rx,o=",
    "+x",
    "a-w",
    "u+s",
    "g=u",
    "o=g",
    "go=",
    "=r",
    "u=rwX,go=rX",
    "+t",
    "ug+rw-x",
    "a+X",
]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("before", [0o644, 0o750, 0o600])
@pytest.mark.parametrize("directory", [True, False])
def test_a_mode_is_what_chmod_makes_of_it(tmp_path: Path, word: str, before: int, directory: bool) -> None:
    target = tmp_path / "target"
    if directory:
        target.mkdir()
    else:
        target.touch()
    target.chmod(before)
    subprocess.run(["chmod", "--", word, target], check=True, umask=0)
    assert oct(parse_mode(word)(before, directory)) == oct(target.stat().st_mode & 0o7777)


def test_what_may_be_entered_is_said_by_the_mode_before() -> None:
    # As POSIX has it, and BuildKit; chmod of GNU looks at what it has changed so far.
    assert oct(parse_mode("u+rwx,g=rX")(0o644, False)) == "0o744"
    assert oct(parse_mode("u+rwx,g=rX")(0o601, False)) == "0o751"


@pytest.mark.parametrize(("word", "made"), [("640", 0o640), ("u+rwX,g=", 0o755)])
def test_directories_on_the_way_get_an_octal_mode(word: str, made: int) -> None:
    assert parse_mode(word).made == made


@pytest.mark.parametrize("word", ["", "8", "99999", "u", "z+x", "u+q", "u=rw,", "rwx"])
def test_what_is_no_mode_is_refused(word: str) -> None:
    with pytest.raises(InvalidParameter, match="invalid chmod parameter"):
        parse_mode(word)
