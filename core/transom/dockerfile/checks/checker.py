"""Following the rules of `rules` through a Dockerfile."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Final

from transom.dockerfile.arguments import global_args, written_platform
from transom.dockerfile.checks.options import Options, options_of
from transom.dockerfile.checks.rules import RULES, Finding
from transom.dockerfile.evaluation import Resolved, StageState, advance, begin
from transom.dockerfile.ignore import Patterns
from transom.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Workdir,
)
from transom.dockerfile.source import DockerfileError, Location, nearest
from transom.dockerfile.stages import ImageName, Plan, Scratch, Stage, StageRef
from transom.dockerfile.words import Expansion, Lexer
from transom.errors import InvalidParameter
from transom.graph.model import Image, RunConfig
from transom.graph.platforms import parse_platform
from transom.graph.reference import Reference

__all__ = ["check"]

_RESERVED: Final = ("context", "scratch")
_WORD: Final = r"(?:_|^)(?:{})(?:_|$)"
_SECRET: Final = re.compile(
    _WORD.format("apikey|auth|credential|credentials|key|password|pword|passwd|secret|token"), re.IGNORECASE
)
_NO_SECRET: Final = re.compile(_WORD.format("public|file|version"), re.IGNORECASE)


def check(
    plan: Plan,
    *,
    everything: bool = False,
    bases: Mapping[int, Image] | None = None,
    ignored: Patterns | None = None,
) -> list[Finding]:
    """Return where a Dockerfile does not keep the rules that it follows, in the order of its lines.

    `everything` says that stages that the target does not need are looked at, too. `bases` are the images that stages
    begin with, by the numbers of the stages; where one is missing, nothing is said of variables that it may have.
    `ignored` is what is left out of the context. Raises `DockerfileError` for what cannot be built at all.
    """
    checker = _Checker(plan, options_of(plan), bases or {}, ignored)
    checker.check_text()
    checker.check_stages(plan.everything if everything else plan.stages)
    return sorted(checker.findings, key=lambda finding: finding.location.first)


class _Checker:
    def __init__(self, plan: Plan, options: Options, bases: Mapping[int, Image], ignored: Patterns | None) -> None:
        self.findings: list[Finding] = []
        self._plan = plan
        self._dockerfile = plan.dockerfile
        self._options = options
        self._bases = bases
        self._ignored = ignored
        #: The state at the end of each stage, and whether all its variables are known.
        self._ends: dict[int, tuple[StageState, bool]] = {}
        self._with_workdir: set[int] = set()

    def _report(self, rule_name: str, location: Location, *values: str) -> None:
        rule = RULES[rule_name]
        if self._options.follows(rule):
            detail = rule.sentence.format(*values)
            self.findings.append(Finding(rule.name, rule.description, rule.url, detail, location))

    # What is seen without evaluating anything

    def check_text(self) -> None:
        """Follow the rules about the text."""
        for notice in self._dockerfile.warnings:
            self._report("NoEmptyContinuation", notice.location)
        self._check_casing()
        names: set[str] = set()
        defaults = self._defaults()
        for instruction in self._dockerfile.instructions:
            if isinstance(instruction, From):
                self._check_from(instruction, names, defaults)
            elif isinstance(instruction, Arg):
                self._check_description(instruction, tuple(name for name, _ in instruction.pairs))
            elif isinstance(instruction, Maintainer):
                self._report("MaintainerDeprecated", instruction.location)

    def _check_casing(self) -> None:
        """Find instructions that are not written as most of them are, upper or lower case."""
        body = list(_from_first_stage(self._dockerfile.instructions))
        words = [instruction.keyword for instruction in body]
        lower = sum(word == word.lower() for word in words)
        wanted = str.lower if lower > sum(word == word.upper() for word in words) else str.upper
        for instruction in body:
            if instruction.keyword != wanted(instruction.keyword):
                self._report(
                    "ConsistentInstructionCasing", instruction.location, instruction.keyword, f"{wanted.__name__}case"
                )

    def _check_from(self, origin: From, names: set[str], defaults: Mapping[str, str] | None) -> None:
        if defaults is not None:
            self._check_default(origin, defaults, names)
        written = origin.text.split()
        if origin.alias:
            keyword, name = written[-2:]
            if name != name.lower():
                self._report("StageNameCasing", origin.location, name)
            wanted = {origin.keyword.lower(): "as", origin.keyword.upper(): "AS"}.get(origin.keyword, keyword)
            if keyword != wanted:
                self._report("FromAsCasing", origin.location, keyword, origin.keyword)
            if origin.alias in _RESERVED:
                self._report("ReservedStageName", origin.location, origin.alias)
            if origin.alias in names:
                self._report("DuplicateStageName", origin.location, origin.alias)
            names.add(origin.alias)
            self._check_description(origin, (origin.alias,))
        self._check_from_variables(origin, self._expanded(origin, origin.image))
        if origin.platform:
            self._check_platform(origin)

    def _check_description(self, instruction: From | Arg, names: tuple[str, ...]) -> None:
        if instruction.comments and instruction.comments[-1].split(" ")[0] not in names:
            example = names[0] if len(names) == 1 else "<arg_key>"
            self._report("InvalidDefinitionDescription", instruction.location, instruction.name, example)

    def _check_from_variables(self, origin: From, expansion: Expansion) -> None:
        declared = {name for item in self._plan.global_declarations() for name, _ in item.pairs}
        known = sorted(declared | set(self._plan.global_args))
        for name in sorted(expansion.unmatched - set(known)):
            self._report("UndefinedArgInFrom", origin.location, name, _suggested(name, known))

    def _check_platform(self, origin: From) -> None:
        expansion = self._expanded(origin, origin.platform)
        self._check_from_variables(origin, expansion)
        is_target = expansion.text == self._plan.global_args["TARGETPLATFORM"]
        if is_target and expansion.matched == {"TARGETPLATFORM"} and not expansion.unmatched:
            self._report("RedundantTargetPlatform", origin.location, origin.platform)
        if not expansion.matched and not expansion.unmatched:
            platform = parse_platform(expansion.text)
            if platform.os not in origin.alias and platform.architecture not in origin.alias:
                self._report("FromPlatformFlagConstDisallowed", origin.location, expansion.text)

    def _defaults(self) -> Mapping[str, str] | None:
        """Return the arguments that FROM sees if the client gives none, None where they are an error."""
        plan = self._plan
        stage = plan.global_args["TARGETSTAGE"]
        try:
            return global_args(plan.dockerfile, plan.build_platform, plan.target_platform, stage, {})
        except InvalidParameter:
            return None

    def _check_default(self, origin: From, defaults: Mapping[str, str], names: set[str]) -> None:
        try:
            name = Lexer(origin.escape).expand(origin.image, defaults).text
            if name.lower() not in names:
                Reference.parse(name)
        except InvalidParameter:
            self._report("InvalidDefaultArgInFrom", origin.location, origin.image)

    def _expanded(self, origin: From, word: str) -> Expansion:
        return Lexer(origin.escape).expand(word, self._plan.global_args)

    # What is seen while a stage is evaluated

    def check_stages(self, stages: tuple[Stage, ...]) -> None:
        """Follow the rules about what instructions come to. Raises `DockerfileError`."""
        for stage in stages:
            state, known = self._begin(stage)
            used: dict[str, Instruction] = {}
            for instruction in stage.instructions:
                try:
                    after, resolved = advance(state, instruction)
                except DockerfileError:
                    if known:
                        raise
                    # With what the image has, it may be right.
                    break
                self._check_instruction(stage, state, instruction, resolved, used)
                if known:
                    self._check_variables(state, resolved)
                state = after
            self._ends[stage.index] = state, known

    def _begin(self, stage: Stage) -> tuple[StageState, bool]:
        if isinstance(stage.base, StageRef):
            below, known = self._ends[stage.base.index]
            if stage.base.index in self._with_workdir:
                self._with_workdir.add(stage.index)
            return begin(self._plan, stage, below), known
        image = self._bases.get(stage.index)
        if image is not None and isinstance(stage.base, ImageName):
            self._check_base(stage, stage.base, image)
        config = image.config if image is not None else RunConfig()
        return begin(self._plan, stage, config), image is not None or isinstance(stage.base, Scratch)

    def _check_base(self, stage: Stage, base: ImageName, image: Image) -> None:
        expected, actual = written_platform(stage.platform), written_platform(image.platform)
        if (expected.os, expected.architecture) != (actual.os, actual.architecture):
            location = stage.origin.location
            self._report("InvalidBaseImagePlatform", location, base.name, str(actual), str(expected))

    def _check_instruction(
        self,
        stage: Stage,
        state: StageState,
        instruction: Instruction,
        resolved: Resolved,
        used: dict[str, Instruction],
    ) -> None:
        location = instruction.location
        if isinstance(instruction, Cmd | Entrypoint | Healthcheck):
            if (before := used.get(instruction.name)) is not None:
                self._report("MultipleInstructionsDisallowed", before.location, instruction.keyword)
            used[instruction.name] = instruction
        if isinstance(instruction, Cmd | Entrypoint) and instruction.shell and not state.config.shell:
            self._report("JSONArgsRecommended", location, instruction.keyword)
        if isinstance(instruction, Env | Label) and instruction.legacy:
            self._report("LegacyKeyValueFormat", location, instruction.keyword)
        if isinstance(resolved.instruction, Env | Arg):
            for name, _ in resolved.instruction.pairs:
                if _SECRET.search(name) and not _NO_SECRET.search(name):
                    self._report("SecretsUsedInArgOrEnv", location, instruction.name, name)
        if isinstance(instruction, Workdir):
            self._check_workdir(stage, state, instruction)
        elif isinstance(instruction, Expose):
            self._check_ports(state, instruction)
        elif isinstance(resolved.instruction, Copy | Add):
            self._check_sources(resolved.instruction)

    def _check_workdir(self, stage: Stage, state: StageState, instruction: Workdir) -> None:
        path = Lexer(instruction.escape).expand(instruction.path, state.environment).text
        if stage.index not in self._with_workdir and not path.startswith("/"):
            self._report("WorkdirRelativePath", instruction.location, path)
        self._with_workdir.add(stage.index)

    def _check_ports(self, state: StageState, instruction: Expose) -> None:
        lexer = Lexer(instruction.escape)
        for port in (word for written in instruction.ports for word in lexer.expand(written, state.environment).words):
            protocol = port.partition("/")[2]
            if protocol != protocol.lower():
                self._report("ExposeProtoCasing", instruction.location, port)
            if ":" in port:
                self._report("ExposeInvalidFormat", instruction.location, port)

    def _check_sources(self, instruction: Copy | Add) -> None:
        # With exceptions, a directory that is left out may still have something in it.
        if (
            self._ignored is None
            or self._ignored.has_exceptions
            or (isinstance(instruction, Copy) and instruction.from_)
        ):
            return
        for source in instruction.sources:
            path = posixpath.normpath(source)
            patterns = {rule.pattern for rule in self._ignored.rules}
            if "://" in source or (path in (".", "/") and not patterns & {"*", "**", "**/*"}):
                continue
            if self._ignored.matches(path.lstrip("/") or "."):
                verb = "Add" if isinstance(instruction, Add) else "Copy"
                self._report("CopyIgnoredFile", instruction.location, verb, path)

    def _check_variables(self, state: StageState, resolved: Resolved) -> None:
        for name in sorted(resolved.unset):
            suggestion = _suggested(name, tuple(state.environment), "$")
            self._report("UndefinedVar", resolved.instruction.location, name, suggestion)


def _suggested(name: str, options: tuple[str, ...] | list[str], mark: str = "") -> str:
    meant = nearest(name, options)
    return f" (did you mean {mark}{meant}?)" if meant else ""


def _from_first_stage(instructions: tuple[Instruction, ...]) -> Iterator[Instruction]:
    """Yield the instructions but for those in front of the first FROM."""
    begun = False
    for instruction in instructions:
        begun = begun or isinstance(instruction, From)
        if begun:
            yield instruction
