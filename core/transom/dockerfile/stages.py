"""The stages of a Dockerfile: what each begins with, what it needs of others, and which of them a target needs.

plan = plan(dockerfile, target="app", build_args={"V": "2"})
for stage in plan.stages: …           # each comes after those that it needs
plan = plan.with_triggers(stage, image.config.on_build)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import chain

from transom.dockerfile.arguments import chosen_epoch, expanded, global_args, global_instructions, is_for_the_builder
from transom.dockerfile.instructions import Add, Arg, Copy, From, Instruction, Onbuild, Run, Workdir
from transom.dockerfile.notation import quoted
from transom.dockerfile.parse import Dockerfile, check_syntax, parse_trigger
from transom.dockerfile.source import check_characters, with_suggestion
from transom.dockerfile.words import Lexer
from transom.errors import InvalidParameter
from transom.graph.model import Platform
from transom.graph.platforms import parse_platform
from transom.graph.reference import Reference

__all__ = ["ContextName", "ImageName", "Plan", "Scratch", "Source", "Stage", "StageRef", "plan"]


@dataclass(frozen=True)
class Scratch:
    """Nothing: an image without files."""


@dataclass(frozen=True)
class StageRef:
    """Another stage, by its number in the Dockerfile."""

    index: int


@dataclass(frozen=True)
class ImageName:
    """An image: as the Dockerfile names it, and in full."""

    name: str
    reference: Reference


@dataclass(frozen=True)
class ContextName:
    """A context that the client has given a name."""

    name: str


Source = Scratch | StageRef | ImageName | ContextName


@dataclass(frozen=True)
class Stage:
    """A part of a Dockerfile from one FROM to the next.

    `name` is empty where it has none; `platform` is what its images are looked for; `sources` are what COPY and
    `--mount` of its instructions name, by that name in lower case; the first `triggers` of its instructions come from
    what it is based on.
    """

    index: int
    name: str
    base: Source
    platform: Platform
    instructions: tuple[Instruction, ...]
    origin: From
    sources: Mapping[str, Source] = field(default_factory=dict)
    triggers: int = 0

    @property
    def needs(self) -> frozenset[Source]:
        """What must be there before it is built."""
        return frozenset((self.base, *self.sources.values()))

    @property
    def steps(self) -> int:
        """How many of its steps are counted when progress is shown: those that do something to files."""
        pulls = isinstance(self.base, ImageName | ContextName)
        return pulls + sum(isinstance(item, Run | Copy | Add | Workdir) for item in self.instructions)

    def source(self, name: str) -> Source:
        """Return what an instruction of this stage names by `--from` or `from=`."""
        return self.sources[name.lower()]


@dataclass(frozen=True)
class Plan:
    """What is to be built. `everything` are all stages of the Dockerfile, in its order."""

    dockerfile: Dockerfile
    everything: tuple[Stage, ...]
    target: int
    global_args: Mapping[str, str]
    build_args: Mapping[str, str]
    build_platform: Platform
    target_platform: Platform
    epoch: int | None = None
    _names: _Names = field(default_factory=lambda: _Names((), {}), repr=False)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that the target needs, each after those that it needs. Raises `DockerfileError`."""
        wanted, pending = set[int](), [self.target]
        while pending:
            index = pending.pop()
            if index not in wanted:
                wanted.add(index)
                pending += [need.index for need in self.everything[index].needs if isinstance(need, StageRef)]
        return tuple(self.everything[index] for index in sorted(wanted))

    @cached_property
    def unconsumed(self) -> tuple[str, ...]:
        """The build arguments that nothing asks for."""
        declared = {name for item in self._declarations() for name, _ in item.pairs}
        known = declared.union(self.global_args)
        return tuple(sorted(name for name in self.build_args if name not in known and not is_for_the_builder(name)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What Docker's own builder says of build arguments that nothing asks for."""
        if not self.unconsumed:
            return ()
        return (f"[Warning] One or more build-args [{' '.join(self.unconsumed)}] were not consumed",)

    def title(self, stage: Stage) -> str:
        """Return how a stage is called when progress is shown, empty where it is the only one."""
        if len(self.everything) == 1 and not any(isinstance(need, ImageName) for need in stage.sources.values()):
            return ""
        return stage.name or f"stage-{stage.index}"

    def with_triggers(self, stage: Stage, triggers: Sequence[str]) -> Plan:
        """Return the plan with a stage that begins with the ONBUILD triggers of the image that it is based on.

        They may need stages that nothing needed before. Raises `DockerfileError`.
        """
        if not triggers:
            return self
        changed = _with_triggers(self.dockerfile, stage, triggers, self._names)
        everything = tuple(changed if item.index == stage.index else item for item in self.everything)
        result = replace(self, everything=everything)
        _check(self.dockerfile, everything, result.stages)
        return result

    def global_declarations(self) -> Iterator[Arg]:
        """Yield the ARGs in front of the first stage."""
        return (item for item in global_instructions(self.dockerfile) if isinstance(item, Arg))

    def _declarations(self) -> Iterator[Arg]:
        bodies = (stage.instructions for stage in self.stages)
        for instruction in chain(global_instructions(self.dockerfile), *bodies):
            if isinstance(instruction, Arg):
                yield instruction


def plan(
    dockerfile: Dockerfile,
    *,
    target: str = "",
    build_args: Mapping[str, str] | None = None,
    platform: Platform | None = None,
    build_platform: Platform | None = None,
    contexts: Collection[str] = (),
) -> Plan:
    """Return what is to be built of a Dockerfile.

    `target` is a stage's name, empty for the last one; `platform` is what is built for, that of this machine where
    nothing is said; `contexts` are the names of contexts, which stand in for stages and images of their names.
    Raises `DockerfileError`, and `InvalidParameter` for a build argument that cannot be.
    """
    build_args = dict(build_args or {})
    for name, value in build_args.items():
        check_characters(f"{name}={value}", f"the build argument {name!a}")
    check_syntax(build_args.get("BUILDKIT_SYNTAX", ""))
    build_platform = build_platform or Platform.here()
    platform = platform or build_platform
    origins = [item for item in dockerfile.instructions if isinstance(item, From)]
    _check_beginning(dockerfile, origins)
    variables = global_args(dockerfile, build_platform, platform, target or origins[-1].alias or "default", build_args)
    names = _Names(tuple(origins), {_context_key(name): name for name in contexts})
    everything = tuple(_stages(dockerfile, origins, names, variables, platform))
    result = Plan(
        dockerfile,
        everything,
        _target(dockerfile, names, target),
        variables,
        build_args,
        build_platform,
        platform,
        chosen_epoch(dockerfile, build_args, variables),
        names,
    )
    _check(dockerfile, everything, result.stages)
    return result


@dataclass(frozen=True)
class _Names:
    """What names stand for: the stages in their order, and named contexts by the form in which they are compared."""

    origins: tuple[From, ...]
    contexts: Mapping[str, str]

    def context(self, name: str) -> ContextName | None:
        found = self.contexts.get(_context_key(name)) if name.lower() not in ("scratch", "context") else None
        return ContextName(found) if found is not None else None

    def stage(self, name: str, before: int | None = None) -> StageRef | None:
        """Return the last stage of a name, of those before a stage where one is given."""
        indexes = self._indexes.get(name, ())
        place = len(indexes) if before is None else bisect_left(indexes, before)
        return StageRef(indexes[place - 1]) if place else None

    def image(self, name: str) -> Source:
        """Return what a name stands for where it is no stage. Raises `InvalidParameter`."""
        if name == "scratch":
            return Scratch()
        try:
            reference = Reference.parse(name).tagged()
        except InvalidParameter as error:
            raise InvalidParameter(f"failed to parse stage name {quoted(name)}: {error}") from None
        return self.context(reference.familiar) or ImageName(name, reference)

    @cached_property
    def _indexes(self) -> Mapping[str, Sequence[int]]:
        found: dict[str, list[int]] = {}
        for index, origin in enumerate(self.origins):
            if origin.alias:
                found.setdefault(origin.alias, []).append(index)
        return found

    def aliases(self) -> tuple[str, ...]:
        return tuple(origin.alias or f"stage-{index}" for index, origin in enumerate(self.origins))


def _context_key(name: str) -> str:
    """Return a name as it is compared with those of contexts: as Docker writes images, without `latest`."""
    try:
        return Reference.parse(name).familiar.removesuffix(":latest")
    except InvalidParameter:
        return name


def _check_beginning(dockerfile: Dockerfile, origins: Sequence[From]) -> None:
    for instruction in global_instructions(dockerfile):
        if not isinstance(instruction, Arg):
            raise dockerfile.error("no build stage in current context", instruction)
    if not origins:
        raise dockerfile.error("dockerfile contains no stages to build")


def _stages(
    dockerfile: Dockerfile, origins: Sequence[From], names: _Names, variables: Mapping[str, str], platform: Platform
) -> Iterator[Stage]:
    bodies = _bodies(dockerfile)
    made: list[Stage] = []
    for index, origin in enumerate(origins):
        stage = _stage(dockerfile, index, origin, next(bodies), made, names, variables, platform)
        made.append(stage)
        yield stage


def _bodies(dockerfile: Dockerfile) -> Iterator[tuple[Instruction, ...]]:
    """Yield the instructions of each stage."""
    body: list[Instruction] | None = None
    for instruction in dockerfile.instructions:
        if isinstance(instruction, From):
            if body is not None:
                yield tuple(body)
            body = []
        elif body is not None:
            body.append(instruction)
    if body is not None:
        yield tuple(body)


def _stage(
    dockerfile: Dockerfile,
    index: int,
    origin: From,
    body: tuple[Instruction, ...],
    earlier: Sequence[Stage],
    names: _Names,
    variables: Mapping[str, str],
    platform: Platform,
) -> Stage:
    image = expanded(dockerfile, origin, origin.image, variables)
    if not image:
        raise dockerfile.error(f"base name ({origin.image}) should not be blank", origin)
    if origin.platform:
        platform = _platform(dockerfile, origin, variables)
    if origin.alias and (context := names.context(origin.alias)):
        return Stage(index, origin.alias, context, platform, (), origin)
    try:
        base: Source = names.stage(image.lower(), before=index) or names.image(image)
    except InvalidParameter as error:
        raise dockerfile.error(str(error), origin) from error
    triggers: tuple[str, ...] = ()
    if isinstance(base, StageRef):
        platform = earlier[base.index].platform
        triggers = tuple(item.trigger for item in earlier[base.index].instructions if isinstance(item, Onbuild))
    stage = Stage(index, origin.alias, base, platform, body, origin, _sources(dockerfile, body, names))
    return _with_triggers(dockerfile, stage, triggers, names)


def _platform(dockerfile: Dockerfile, origin: From, variables: Mapping[str, str]) -> Platform:
    value = expanded(dockerfile, origin, origin.platform, variables)
    try:
        if value:
            return parse_platform(value)
        problem = f"empty platform value from expression {origin.platform}"
    except InvalidParameter as error:
        problem = f"failed to parse platform {origin.platform}: {error}"
    missing = sorted(Lexer(origin.escape).expand(origin.platform, variables).unmatched)
    raise dockerfile.error(with_suggestion(problem, "".join(missing[:1]), tuple(variables)), origin)


def _with_triggers(dockerfile: Dockerfile, stage: Stage, triggers: Sequence[str], names: _Names) -> Stage:
    """Return a stage with triggers in front of its instructions."""
    try:
        added = tuple(parse_trigger(trigger, stage.origin.location) for trigger in triggers)
    except InvalidParameter as error:
        raise dockerfile.error(str(error), stage.origin) from error
    return replace(
        stage,
        instructions=(*added, *stage.instructions),
        sources={**stage.sources, **_sources(dockerfile, added, names)},
        triggers=stage.triggers + len(added),
    )


def _sources(dockerfile: Dockerfile, body: Iterable[Instruction], names: _Names) -> dict[str, Source]:
    """Return what instructions name by `--from` and `from=`."""
    sources: dict[str, Source] = {}
    for instruction in body:
        try:
            if isinstance(instruction, Copy) and instruction.from_:
                sources[instruction.from_.lower()] = _copied(instruction, names)
            elif isinstance(instruction, Run):
                for mount in instruction.mounts:
                    if mount.from_ and mount.type != "tmpfs":
                        sources[mount.from_.lower()] = names.stage(mount.from_.lower()) or names.image(mount.from_)
        except InvalidParameter as error:
            raise dockerfile.error(str(error), instruction) from error
    return sources


def _copied(instruction: Copy, names: _Names) -> Source:
    name = instruction.from_
    if Lexer(instruction.escape).expand(name, {}).text != name:
        raise InvalidParameter(
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope"
            " as a workaround"
        )
    if name.isascii() and name.isdecimal():
        if len(name) > 9 or int(name) >= len(names.origins):
            raise InvalidParameter(f"invalid stage index {name}")
        return StageRef(int(name))
    return names.stage(name.lower()) or names.image(name)


def _target(dockerfile: Dockerfile, names: _Names, target: str) -> int:
    if not target:
        return len(names.origins) - 1
    found = names.stage(target.lower())
    if found is None:
        problem = with_suggestion(f"target stage {quoted(target)} could not be found", target, names.aliases())
        there = ", ".join(origin.alias for origin in names.origins if origin.alias)
        raise dockerfile.error(f"{problem}; the stages are {there}" if there else problem)
    return found.index


def _check(dockerfile: Dockerfile, everything: Sequence[Stage], needed: Iterable[Stage]) -> None:
    """Refuse stages that need themselves, and those that need a later one."""
    _check_cycles(dockerfile, everything)
    for stage in needed:
        for instruction in stage.instructions:
            for name in _named(instruction):
                source = stage.source(name)
                if isinstance(source, StageRef) and source.index >= stage.index:
                    verb = "copy" if isinstance(instruction, Copy) else "mount"
                    here = stage.name or f"stage-{stage.index}"
                    raise dockerfile.error(
                        f'cannot {verb} from stage "{name}", it needs to be defined before current stage "{here}"',
                        instruction,
                    )


def _named(instruction: Instruction) -> tuple[str, ...]:
    if isinstance(instruction, Copy):
        return (instruction.from_,) if instruction.from_ else ()
    if isinstance(instruction, Run):
        return tuple(mount.from_ for mount in instruction.mounts if mount.from_ and mount.type != "tmpfs")
    return ()


def _check_cycles(dockerfile: Dockerfile, everything: Sequence[Stage]) -> None:
    graph = {stage.index: [need.index for need in stage.needs if isinstance(need, StageRef)] for stage in everything}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        stage = everything[min(error.args[1])]
        raise dockerfile.error(
            f"circular dependency detected on stage: {stage.name or f'stage-{stage.index}'}", stage.origin
        ) from None
