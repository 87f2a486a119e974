"""The plan of a build: what its stages need, and how they are called."""

from __future__ import annotations

import pytest

from transom.dockerfile.instructions import Copy, Run
from transom.dockerfile.parse import DockerfileError, parse
from transom.dockerfile.stages import ContextName, ImageName, Plan, Scratch, StageRef, plan
from transom.errors import InvalidParameter
from transom.graph.model import Platform

ARM64 = Platform("linux", "arm64")


def planned(text: str, target: str = "", contexts: tuple[str, ...] = ()) -> Plan:
    return plan(parse(text), target=target, contexts=contexts)


def test_a_stage_needs_its_base_and_what_it_copies_and_mounts() -> None:
    made = planned("FROM a AS one\nFROM scratch\nCOPY --from=one x /\nRUN --mount=from=b,target=/b x\n")
    _, last = made.stages
    assert {type(need) for need in last.needs} == {Scratch, StageRef, ImageName}
    assert last.source("ONE") == StageRef(0)
    assert last.source("b") == ImageName("b", last.source("b").reference)  # type: ignore[union-attr]


def test_only_what_does_something_to_files_is_counted() -> None:
    made = planned("FROM a AS one\nENV A=1\nRUN x\nWORKDIR /w\nFROM one\nCOPY a b\nFROM scratch\nADD a b\nCMD x\n")
    assert [stage.steps for stage in made.everything] == [3, 1, 1]


def test_a_stage_is_called_by_its_name_or_number_unless_it_is_the_only_one() -> None:
    assert [made.title(made.stages[0]) for made in (planned("FROM a"), planned("FROM a AS x"))] == ["", ""]
    two = planned("FROM a AS x\nFROM x")
    assert [two.title(stage) for stage in two.stages] == ["x", "stage-1"]
    other = planned("FROM a\nCOPY --from=b x /")
    assert other.title(other.stages[0]) == "stage-0"


def test_triggers_of_an_image_come_first_and_may_need_more() -> None:
    made = planned("FROM a AS one\nFROM b\nRUN x\n")
    assert [stage.index for stage in made.stages] == [1]
    more = made.with_triggers(made.stages[0], ("COPY --from=one x /", "RUN --mount=from=c,target=/c y"))
    assert [stage.index for stage in more.stages] == [0, 1]
    last = more.stages[-1]
    assert [type(instruction) for instruction in last.instructions] == [Copy, Run, Run]
    assert (last.triggers, last.instructions[0].location) == (2, last.origin.location)
    assert isinstance(last.source("c"), ImageName)
    assert made.with_triggers(made.stages[0], ()) is made


@pytest.mark.parametrize("trigger", ["RUNN x", "RUN x\nRUN y", "FROM y", "COPY --from=last x /", ""])
def test_a_trigger_that_cannot_be_is_blamed_on_the_base(trigger: str) -> None:
    made = planned("FROM a AS one\nFROM b AS last\n")
    with pytest.raises(DockerfileError, match="Dockerfile:2: "):
        made.with_triggers(made.everything[1], (trigger,))


def test_a_platform_is_that_of_the_flag_the_base_or_the_build() -> None:
    text = "FROM --platform=linux/arm64 a AS one\nFROM one\nFROM b\nFROM --platform=$BUILDPLATFORM c\n"
    made = plan(parse(text), platform=Platform("linux", "s390x"), build_platform=Platform("linux", "amd64"))
    platforms = [str(stage.platform) for stage in made.everything]
    assert platforms == ["linux/arm64/v8", "linux/arm64/v8", "linux/s390x", "linux/amd64"]
    assert made.global_args["TARGETPLATFORM"] == "linux/s390x"


def test_an_arm64_is_written_without_the_variant_that_all_have() -> None:
    args = plan(parse("FROM a"), platform=ARM64, build_platform=ARM64).global_args
    assert (args["TARGETPLATFORM"], args["TARGETARCH"], args["TARGETVARIANT"]) == ("linux/arm64", "arm64", "")


def test_a_context_is_found_by_any_form_of_an_image_s_name() -> None:
    made = planned("FROM docker.io/library/debian:latest\nCOPY --from=DEBIAN x /\n".lower(), contexts=("debian",))
    assert made.stages[0].needs == {ContextName("debian")}
    assert planned("FROM debian:12", contexts=("debian",)).stages[0].needs != {ContextName("debian")}


def test_a_context_takes_the_place_of_a_stage_and_of_all_that_it_needs() -> None:
    made = planned("FROM a AS one\nRUN x\nFROM one AS two\nCOPY --from=b x /\nFROM two", contexts=("two",))
    assert [(stage.index, stage.instructions) for stage in made.stages] == [(1, ()), (2, ())]
    assert made.stages[0].base == ContextName("two")


def test_a_chain_of_very_many_stages_is_planned() -> None:
    text = "FROM scratch AS s0\n" + "".join(f"FROM s{number} AS s{number + 1}\n" for number in range(5000))
    assert len(planned(text).stages) == 5001


def test_a_client_chooses_no_other_frontend() -> None:
    assert plan(parse("FROM a"), build_args={"BUILDKIT_SYNTAX": "docker/dockerfile:1"}).unconsumed == ()
    with pytest.raises(InvalidParameter, match="the syntax x/y is not supported"):
        plan(parse("FROM a"), build_args={"BUILDKIT_SYNTAX": "x/y"})
