"""What a stage is after its instructions, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from transom.dockerfile.evaluation import Resolved, StageState, advance, begin, history_text, title
from transom.dockerfile.parse import parse
from transom.dockerfile.stages import plan
from transom.errors import InvalidParameter
from transom.graph.model import RunConfig


def evaluated(
    text: str, config: RunConfig | None = None, build_args: Mapping[str, str] | None = None
) -> tuple[StageState, list[Resolved]]:
    """Return the end of the last stage of a Dockerfile, of which each builds on the one before, and its steps."""
    made = plan(parse(text), build_args=build_args)
    state: StageState | RunConfig | None = config
    steps: list[Resolved] = []
    for stage in made.stages:
        state = begin(made, stage, state)
        steps = []
        for instruction in stage.instructions:
            state, resolved = advance(state, instruction)
            steps.append(resolved)
    assert isinstance(state, StageState)
    return state, steps


def test_variables_are_those_of_the_stage_by_then() -> None:
    state, steps = evaluated("FROM x\nARG V=1\nENV A=$V B=$A\nENV B=$A\nRUN echo $A", build_args={"V": "2"})
    assert state.config.env[1:] == ("A=2", "B=2")
    assert dict(steps[-1].environment)["V"] == "2"
    assert history_text(steps[-1]) == "RUN |1 V=2 /bin/sh -c echo $A # buildkit"
    assert steps[-1].arguments == ("/bin/sh", "-c", "echo $A")


def test_a_stage_goes_on_where_its_base_ended() -> None:
    state, _ = evaluated("FROM x AS a\nWORKDIR /srv\nARG V=1\nFROM a\nWORKDIR sub\nENV W=$V")
    assert state.config.working_dir == "/srv/sub"
    assert "W=1" in state.config.env


def test_a_build_argument_is_one_that_a_process_can_be_given() -> None:
    with pytest.raises(InvalidParameter, match="NUL byte in the build argument 'A'"):
        evaluated("FROM x", build_args={"A": "\0"})
    with pytest.raises(InvalidParameter, match="not written in UTF-8"):
        evaluated("FROM x", build_args={"A": "\ud800"})


def test_a_title_shows_values_but_no_secrets() -> None:
    state, steps = evaluated("FROM x\nENV A=1\nRUN --mount=type=secret,id=t,env=T echo $A '$A' $T $B")
    assert title(steps[-1], state.environment) == "RUN --mount=type=secret,id=t,env=T echo 1 '$A' **** $B"


def test_an_instruction_tells_its_variables_that_nothing_declares() -> None:
    _, steps = evaluated("FROM x\nARG A\nENV B=$A$C\nCOPY <<E ${D:-/}\n$E $B\nE\n")
    assert [sorted(step.unset) for step in steps] == [[], ["C"], ["D", "E"]]
