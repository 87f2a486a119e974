"""What holds for any text: it is read or refused, and what is written out is read as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.dockerfile import instructions as made
from transom.dockerfile.evaluation import StageState, advance, begin, title
from transom.dockerfile.heredocs import Heredoc
from transom.dockerfile.instructions import Instruction
from transom.dockerfile.parse import DockerfileError, parse
from transom.dockerfile.source import Location
from transom.dockerfile.stages import StageRef, plan
from transom.graph.model import Healthcheck, RunConfig

NOWHERE = Location(0, 0)
KEYWORDS = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD",
    "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip
PIECES = (
    *KEYWORDS, " ", "\n", "\\", "`", "'", '"', "$", "${", "}", "[", "]", ",", "=", ":", "-", "--", "#", "<<", "<<E",
    "/", ".", "a", "as", "0", "E", "é", "\t", "\r", "\0", "\ufeff", "\udcff", "syntax=", "escape=", "check=", "mount=",
    "type=", "from", "target", "--mount=type=cache,target=/a", "--from=a", "--chmod=", "scratch", "NONE", "80/tcp",
    "A=$A", "!",
)  # fmt: skip


def evaluate(content: bytes | str) -> None:
    """Take a Dockerfile through all that is done with one."""
    planned = plan(parse(content), build_args={"a": "$A"}, contexts=("a",))
    ends: dict[int, StageState] = {}
    for stage in planned.stages:
        base = ends[stage.base.index] if isinstance(stage.base, StageRef) else RunConfig()
        state = begin(planned, stage, base)
        for instruction in stage.instructions:
            after, resolved = advance(state, instruction)
            assert title(resolved, state.environment)
            state = after
        ends[stage.index] = state


@given(st.binary())
def test_any_bytes_are_a_dockerfile_or_an_error(content: bytes) -> None:
    try:
        evaluate(content)
    except DockerfileError as error:
        assert str(error).encode()


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_pieces_of_the_language_are_a_dockerfile_or_an_error(rest: str) -> None:
    for content in (rest, f"FROM scratch\n{rest}"):
        try:
            evaluate(content)
        except DockerfileError as error:
            assert str(error).encode()


words = st.text(alphabet="abc/.-_$é", min_size=1, max_size=8).filter(lambda word: not word.startswith(("-", "#")))
texts = st.text(alphabet="ab '\"\\$,[]é", max_size=8)
names = st.text(alphabet="abcXYZ_", min_size=1, max_size=6)
json_words = st.lists(texts, min_size=1, max_size=3).map(tuple)
lines = st.lists(words, min_size=1, max_size=3).map(" ".join)
pairs = st.lists(st.tuples(names, words), min_size=1, max_size=3).map(tuple)
documents = st.lists(st.text(alphabet="ab $\\#\t", max_size=6), max_size=3).map(
    lambda rows: "".join(f"{row}\n" for row in rows)
)
common = {"location": st.just(NOWHERE), "text": st.just("")}


def builds(kind: type[Instruction], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Instruction]:
    return st.builds(kind, keyword=st.just(kind.__name__.upper()), **common, **fields)


def commands(kind: type[Instruction]) -> st.SearchStrategy[Instruction]:
    return st.one_of(
        builds(kind, command=json_words, shell=st.just(False)), builds(kind, command=lines, shell=st.just(True))
    )


flags: dict[str, st.SearchStrategy[Any]] = {
    "sources": st.lists(words, min_size=1, max_size=2).map(tuple),
    "destination": words,
    "heredocs": st.lists(st.builds(Heredoc, st.just("EOF"), documents), max_size=1).map(tuple),
    "chown": st.one_of(st.just(""), words),
    "chmod": st.sampled_from(("", "755", "u+x")),
    "link": st.booleans(),
    "excludes": st.lists(words, max_size=2).map(tuple),
}
simple = st.one_of(
    commands(made.Run),
    commands(made.Cmd),
    commands(made.Entrypoint),
    builds(made.Copy, **flags, from_=st.one_of(st.just(""), names), parents=st.booleans()),
    builds(made.Add, **flags, checksum=st.one_of(st.just(""), words), unpack=st.sampled_from((None, True, False))),
    builds(made.Env, pairs=pairs),
    builds(made.Label, pairs=pairs),
    builds(made.Arg, pairs=st.lists(st.tuples(names, st.none() | words), min_size=1).map(tuple)),
    builds(made.Expose, ports=st.lists(st.sampled_from(("80", "53/udp", "1-5", "$a")), min_size=1).map(tuple)),
    builds(made.Volume, paths=st.lists(words, min_size=1).map(tuple)),
    builds(made.User, user=lines),
    builds(made.Workdir, path=lines),
    builds(made.Maintainer, maintainer=lines),
    builds(made.Stopsignal, signal=st.sampled_from(("SIGTERM", "9", "$a"))),
    builds(made.Shell, shell=json_words),
    builds(
        made.Healthcheck,
        check=st.builds(
            Healthcheck,
            st.one_of(json_words.map(lambda found: ("CMD", *found)), lines.map(lambda found: ("CMD-SHELL", found))),
            st.integers(10**6, 10**13),
            retries=st.integers(0, 9),
        ),
    ),
)


def written(instruction: Instruction) -> str:
    """Return an instruction as text that is read as the same one."""
    value: Any = instruction
    match instruction:
        case made.Run() | made.Cmd() | made.Entrypoint():
            rest = value.command if value.shell else json.dumps(value.command)
        case made.Copy() | made.Add():
            rest = " ".join((*_flags(value), *value.sources, *("<<EOF" for _ in value.heredocs), value.destination))
            rest += "".join(f"\n{heredoc.content}EOF" for heredoc in value.heredocs)
        case made.Env() | made.Label() | made.Arg():
            rest = " ".join(name if found is None else f"{name}={found}" for name, found in value.pairs)
        case made.Expose():
            rest = " ".join(value.ports)
        case made.Volume():
            rest = " ".join(value.paths)
        case made.Shell():
            rest = json.dumps(value.shell)
        case made.Healthcheck():
            kind, *test = value.check.test
            command = json.dumps(test) if kind == "CMD" else test[0]
            rest = f"--interval={value.check.interval}ns --retries={value.check.retries} CMD {command}"
        case _:
            (rest,) = (
                value.__dict__[name] for name in ("user", "path", "maintainer", "signal") if name in value.__dict__
            )
    return f"{instruction.keyword} {rest}"


def _flags(value: Any) -> list[str]:
    texts = {"--from": getattr(value, "from_", ""), "--chown": value.chown, "--chmod": value.chmod}
    texts["--checksum"] = getattr(value, "checksum", "")
    found = [f"{name}={text}" for name, text in texts.items() if text]
    found += [f"--exclude={pattern}" for pattern in value.excludes]
    found += ["--link"] * value.link + ["--parents"] * getattr(value, "parents", False)
    unpack = getattr(value, "unpack", None)
    return found if unpack is None else [*found, f"--unpack={str(unpack).lower()}"]


@given(st.lists(simple, min_size=1, max_size=4))
def test_what_is_written_out_is_read_as_it_was(wanted: list[Instruction]) -> None:
    text = "FROM scratch\n" + "".join(f"{written(instruction)}\n" for instruction in wanted)
    read = parse(text).instructions[1:]
    assert [replace(instruction, location=NOWHERE, text="") for instruction in read] == wanted


@pytest.mark.parametrize(
    "text",
    [
        "FROM scratch\nENV A=aaaaaaaaaaaaaaaa\n" + "ENV A=$A$A\n" * 40,
        f"FROM scratch\nENV A={'a' * 60_000}\nENV A=${{A//a/{'b' * 5_000}}}\n",
        "FROM scratch\nENV A=" + "${A:-" * 60 + "}" * 60,
        "FROM scratch\n" + "RUN x\n" * 20_001,
        "FROM scratch\nRUN " + "x" * 65_536,
        "FROM scratch\n#" + "\n#" * (8 * 2**20),
    ],
    ids=["doubled", "replaced", "nested", "many", "long", "large"],
)
def test_what_has_no_end_is_refused(text: str) -> None:
    with pytest.raises(DockerfileError):
        evaluate(text)
