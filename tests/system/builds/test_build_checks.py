"""Build checks: alone, and before a build."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.builds import Builder, context
from transom.errors import InvalidParameter
from transom.job import Aux, Message, Output


def checked(builder: Builder, text: str, files: dict[str, str] | None = None, **parameters: Any) -> list[Message]:
    """Check a Dockerfile without building it, and return what is told."""
    messages: list[Message] = []
    files = {"Dockerfile": text.replace("BASE", builder.busybox), **(files or {})}
    job = builder.engine.job("build", input=context(files), report=messages.append, check=True, **parameters)
    assert job.run() == ""
    return messages


def printed(messages: list[Message]) -> str:
    return "".join(message.text for message in messages if isinstance(message, Output))


def warnings(messages: list[Message]) -> list[tuple[str, int]]:
    """Return the rule and the line of each finding."""
    told = [message.value["warning"] for message in messages if isinstance(message, Aux) and "warning" in message.value]
    return [(warning["rule"], warning["line"]) for warning in told]


def test_a_check_prints_what_it_finds_and_builds_nothing(builder: Builder) -> None:
    before = len(builder.engine.images.list())
    messages = checked(builder, "FROM BASE as one\nRUN false\nENV A=$PATH:$HOEM\nFROM scratch\n")
    assert warnings(messages) == [("FromAsCasing", 1), ("UndefinedVar", 3)]
    assert printed(messages).startswith(
        "Check complete, 2 warnings have been found!\n\nWARNING: FromAsCasing - https://"
    )
    assert len(builder.engine.images.list()) == before


def test_a_check_that_finds_nothing_says_so(builder: Builder) -> None:
    messages = checked(builder, "FROM BASE\nCOPY a /\n# an image that nobody has\nFROM nobody/has-it\nENV A=$B\n")
    assert (printed(messages), warnings(messages)) == ("Check complete, no warnings found.\n", [])


def test_a_check_knows_what_is_left_out_of_the_context(builder: Builder) -> None:
    text = "# check=experimental=CopyIgnoredFile\nFROM BASE\nCOPY a b /\n"
    files = {".dockerignore": "a\n", "Dockerfile.dockerignore": "b\n"}
    assert warnings(checked(builder, text, files, progress="steps")) == [("CopyIgnoredFile", 3)]


def test_a_build_tells_what_is_found_to_clients_that_draw(builder: Builder) -> None:
    text = "FROM BASE\nWORKDIR sub\n"
    assert warnings(builder.build(text).messages) == [("WorkdirRelativePath", 2)]
    assert warnings(builder.build(text, progress="docker").messages) == []


def test_what_is_found_fails_a_build_whose_dockerfile_says_so(builder: Builder) -> None:
    with pytest.raises(InvalidParameter, match="lint violation found for rules: WorkdirRelativePath"):
        builder.build("# check=error=true\nFROM BASE\nRUN false\nWORKDIR sub\n")


def test_a_check_follows_what_a_base_image_triggers(builder: Builder) -> None:
    builder.build("FROM BASE\nONBUILD WORKDIR sub\nONBUILD ENV A=$B\n", tags=("triggers",))
    found = [("WorkdirRelativePath", 2), ("UndefinedVar", 2)]
    assert warnings(checked(builder, "FROM BASE AS other\nFROM triggers\nENV C=d\n")) == found
    assert warnings(builder.build("FROM BASE AS other\nFROM triggers\nENV C=d\n").messages) == found
