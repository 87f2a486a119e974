"""Small Dockerfiles and what they come to: a corpus in `corpus/`, each case with its options and what is expected.

=== a sentence                      what the case shows
build-arg A=1                       options: build-arg, target, context (a name), config (fields of each base image)
FROM scratch …
--- expected
stage 0: Scratch                    the stages that are built and their steps, or the error
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from transom.dockerfile.evaluation import DEFAULT_PATH, Resolved, StageState, advance, begin, history_text
from transom.dockerfile.instructions import Add, Copy, Run
from transom.dockerfile.parse import DockerfileError, parse
from transom.dockerfile.stages import ImageName, Plan, Scratch, Source, Stage, StageRef, plan
from transom.graph.model import Platform, RunConfig

AMD64 = Platform("linux", "amd64")
_OPTIONS = ("build-arg", "target", "context", "config")


@dataclass(frozen=True)
class Case:
    """One Dockerfile."""

    name: str
    options: tuple[tuple[str, str], ...]
    dockerfile: str
    expected: str

    def values(self, option: str) -> list[str]:
        return [value for name, value in self.options if name == option]

    @property
    def config(self) -> RunConfig:
        """What the images say that stages begin with."""
        changes: dict[str, Any] = {}
        for value in self.values("config"):
            decoder, rest = json.JSONDecoder(), value
            while rest:
                name, _, rest = rest.partition("=")
                found, end = decoder.raw_decode(rest)
                changes[name] = tuple(found) if isinstance(found, list) else found
                rest = rest[end:].lstrip()
        return RunConfig(**changes)


def cases() -> Iterator[Any]:
    for path in sorted(Path(__file__).with_name("corpus").glob("*.txt")):
        for text in path.read_text().split("=== ")[1:]:
            name, _, body = text.partition("\n")
            content, _, expected = body.partition("--- expected\n")
            lines, options = content.split("\n"), []
            while lines[0].partition(" ")[0] in _OPTIONS:
                option, _, value = lines.pop(0).partition(" ")
                options.append((option, value))
            yield pytest.param(Case(name, tuple(options), "\n".join(lines), expected), id=f"{path.stem}: {name}")


@pytest.mark.parametrize("case", list(cases()))
def test_a_dockerfile_comes_to_what_is_expected(case: Case) -> None:
    assert "".join(f"{line}\n" for line in told(case)) == case.expected


def told(case: Case) -> Iterator[str]:
    """Yield what a case comes to: its stages, or its error."""
    try:
        yield from list(_told_plan(case))
    except DockerfileError as error:
        yield f"error: {error.problem}"
        if error.line:
            yield f"  line {error.line}"


def _told_plan(case: Case) -> Iterator[str]:
    dockerfile = parse(case.dockerfile)
    made = plan(
        dockerfile,
        target="".join(case.values("target")),
        build_args=dict(value.split("=", 1) for value in case.values("build-arg")),
        platform=AMD64,
        build_platform=AMD64,
        contexts=case.values("context"),
    )
    for stage in made.everything:
        if isinstance(stage.base, ImageName):
            made = made.with_triggers(stage, case.config.on_build)
    yield from (f"warning: {warning}" for warning in made.warnings)
    if made.epoch is not None:
        yield f"epoch: {made.epoch}"
    ends: dict[int, StageState] = {}
    for stage in made.stages:
        yield f"stage {stage.index}: {made.title(stage)} {_told_source(stage.base)} {stage.platform}".replace(
            ":  ", ": "
        )
        for name, source in stage.sources.items():
            yield f"  {name} is {_told_source(source)}"
        state = begin(made, stage, _base(made, stage, ends, case))
        for instruction in stage.instructions:
            state, resolved = advance(state, instruction)
            yield from _told_step(resolved)
        ends[stage.index] = state
    yield from _told_state(ends[made.target])


def _base(made: Plan, stage: Stage, ends: dict[int, StageState], case: Case) -> RunConfig | StageState | None:
    if isinstance(stage.base, StageRef):
        return ends[stage.base.index]
    return None if isinstance(stage.base, Scratch) else case.config


def _told_source(source: Source) -> str:
    if isinstance(source, ImageName):
        return str(source.reference)
    return repr(source) if not isinstance(source, StageRef) else f"stage {source.index}"


def _told_step(resolved: Resolved) -> Iterator[str]:
    instruction = resolved.instruction
    yield f"  {json.dumps(history_text(resolved))[1:-1] or '(no history)'}"
    if isinstance(instruction, Run):
        yield f"    runs {json.dumps(resolved.arguments)} in {resolved.working_dir}"
        if resolved.script is not None:
            yield f"    file {resolved.script.name}: {json.dumps(resolved.script.text)}"
        visible = {name: value for name, value in resolved.environment.items() if value != DEFAULT_PATH}
        yield from (f"    sees {name}={value}" for name, value in {**visible, **resolved.proxies}.items())
        yield from (f"    mounts {_told_fields(mount)}" for mount in instruction.mounts)
    elif isinstance(instruction, Copy | Add):
        yield f"    copies {json.dumps([*instruction.sources])} to {instruction.destination}"
        yield from (f"    file {one.name}: {json.dumps(one.text)}" for one in instruction.heredocs)
        skipped = ("location", "text", "keyword", "sources", "destination", "heredocs")
        if told_flags := _told_fields(instruction, skipped):
            yield f"    with {told_flags}"


def _told_fields(value: Any, skipped: tuple[str, ...] = ()) -> str:
    """Return the fields of a dataclass that are not what they are when nothing is said."""
    shown = [
        (field.name, getattr(value, field.name), field.default) for field in fields(value) if field.name not in skipped
    ]
    return " ".join(f"{name}={found!r}" for name, found, default in shown if found != default)


def _told_state(state: StageState) -> Iterator[str]:
    empty = RunConfig()
    for field in fields(RunConfig):
        value = getattr(state.config, field.name)
        if field.name == "env":
            value = tuple(entry for entry in value if entry != f"PATH={DEFAULT_PATH}")
        if value != getattr(empty, field.name):
            yield f"{field.name}: {value!r}"
    if state.author:
        yield f"author: {state.author}"
