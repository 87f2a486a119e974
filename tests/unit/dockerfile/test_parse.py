"""What a Dockerfile is read as."""

from __future__ import annotations

import pytest

from transom.dockerfile.instructions import Copy, From, Instruction, Run
from transom.dockerfile.parse import DockerfileError, parse


def only(text: str) -> Instruction:
    """Return the last instruction of a Dockerfile."""
    return parse(text).instructions[-1]


def test_an_instruction_knows_its_lines_and_its_text() -> None:
    instruction = only("# first\n\nFROM debian\nRUN echo a \\\n  # a comment\n  && echo b\n")
    assert (instruction.location.first, instruction.location.last) == (4, 6)
    assert instruction.text == "RUN echo a   && echo b"


def test_a_stage_has_a_base_a_name_and_a_platform() -> None:
    stage = only("from --platform=linux/arm64 debian:12 As Base")
    assert isinstance(stage, From)
    assert (stage.image, stage.alias, stage.platform) == ("debian:12", "base", "linux/arm64")


def test_here_documents_belong_to_their_instruction() -> None:
    copy = only("FROM x\nCOPY <<a <<-'b' /to/\none $x\na\n\t\ttwo\n\tb\n")
    assert isinstance(copy, Copy)
    assert [(one.name, one.text, one.expand) for one in copy.heredocs] == [
        ("a", "one $x\n", True),
        ("b", "two\n", False),
    ]
    assert (copy.sources, copy.destination) == ((), "/to/")


def test_a_run_is_a_line_for_the_shell_or_a_json_list() -> None:
    line, words = only("FROM x\nRUN a 'b c'"), only('FROM x\nRUN ["a", "b c"]')
    assert isinstance(line, Run)
    assert isinstance(words, Run)
    assert (line.command, line.shell) == ("a 'b c'", True)
    assert (words.command, words.shell) == (("a", "b c"), False)


def test_an_error_shows_where_it_is() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse("FROM debian\nRUNN true\nRUN false\n")
    assert str(caught.value).splitlines()[0] == "Dockerfile:2: unknown instruction: RUNN (did you mean RUN?)"
    assert caught.value.snippet.splitlines() == [
        "Dockerfile:2",
        "--------------------",
        "   1 |     FROM debian",
        "   2 | >>> RUNN true",
        "   3 |     RUN false",
        "   4 |     ",
        "--------------------",
    ]
    assert (caught.value.line, caught.value.instruction) == (2, "RUNN")


def test_the_ends_of_lines_and_the_mark_of_their_order_mean_nothing() -> None:
    unix = "# escape=`\nFROM x\nRUN a `\n  b\nCOPY <<E /\none\nE\n"
    windows = b"\xef\xbb\xbf" + unix.replace("\n", "\r\n").encode()
    *others, copy = parse(windows).instructions
    assert others == list(parse(unix).instructions[:-1])
    assert isinstance(copy, Copy)
    assert copy.heredocs[0].content == "one\r\n"


def test_comments_may_be_in_any_encoding_and_instructions_in_one() -> None:
    assert len(parse(b"# Jos\xe9\nFROM x\n").instructions) == 1
    with pytest.raises(DockerfileError, match="Dockerfile:2: the instruction is not written in UTF-8"):
        parse(b"FROM x\nRUN Jos\xe9\n")


@pytest.mark.parametrize("text", ["RUN a\0b", r'CMD ["a\u0000"]', r'COPY ["\ud800", "/"]'])
def test_what_no_process_can_be_given_is_refused(text: str) -> None:
    with pytest.raises(DockerfileError, match=r"NUL byte|not written in UTF-8"):
        parse(f"FROM x\n{text}\n")


def test_comments_belong_to_the_instruction_below_them() -> None:
    first, second = parse("# check=skip=all\n# one\n# two\nFROM x\n# three\n\nRUN a\n").instructions
    assert (first.comments, second.comments) == (("one", "two"), ())


def test_lines_that_are_too_long_and_files_that_are_too_large_are_refused() -> None:
    with pytest.raises(DockerfileError, match="Dockerfile:2: dockerfile line greater than max allowed size of 65535"):
        parse("FROM x\n# " + "x" * 65534)
    with pytest.raises(DockerfileError, match="Dockerfile exceeds maximum allowed size"):
        parse(b"#\n" * 2**23 + b"F")


@pytest.mark.parametrize(
    "syntax",
    ["docker/dockerfile", "docker/dockerfile:1.7-labs", "mirror:5000/a/dockerfile-upstream:x", "dockerfile@sha256:0 x"],
)
def test_frontends_of_dockerfiles_are_not_needed(syntax: str) -> None:
    assert parse(f"# syntax={syntax}\nFROM x").directives["syntax"] == syntax


def test_other_frontends_are_refused() -> None:
    with pytest.raises(DockerfileError, match="the syntax example/other:1 is not supported"):
        parse("# syntax=example/other:1\nFROM x")
