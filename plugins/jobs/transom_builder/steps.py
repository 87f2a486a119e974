"""A plan as steps that need each other: each gives what its stage has become, and the next one takes that."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from transom.crew import Crew, Task
from transom.dockerfile.evaluation import Resolved, StageState, advance, begin, title
from transom.dockerfile.instructions import Add, Copy, From, Instruction, Run, Workdir
from transom.dockerfile.stages import ContextName, ImageName, Plan, Scratch, Source, Stage, StageRef
from transom.errors import NotFound, TransomError
from transom.graph.build_cache import CachedStep
from transom.graph.digest import Digest
from transom.graph.image_config import write_config
from transom.graph.making import NewLayer, derive
from transom.graph.model import History, Image, Platform, RunConfig
from transom.graph.reference import Reference
from transom.times import format_moment
from transom_builder.ahead import Ahead
from transom_builder.cache_import import ImportedCaches
from transom_builder.cache_records import KeptStep
from transom_builder.contexts import Context, Contexts
from transom_builder.copying import Manner, copy_into
from transom_builder.images import find_image, load_layout
from transom_builder.options import BuildOptions
from transom_builder.reports import Reports, Step
from transom_builder.sources import find
from transom_builder.verdicts import Unsaid, Verdicts
from transom_builder.work import Work, Worker
from transom_builder.workplace import Workplace
from transom_builder.workshop import Stack, Workshop

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["Steps"]

log = logging.getLogger(__name__)

#: Named contexts that are images.
_IMAGE = "docker-image://"
_LAYOUT = "oci-layout://"
_COMMENT = "buildkit.dockerfile.v0"
_SECOND = 10**9
#: As many images and contexts are looked for at the same time.
_FINDERS = 4
#: As many layers are packed behind the steps at the same time.
_PACKERS = 2
_FIND = "find"


@dataclass(frozen=True)
class _Made:
    """What a stage is after a step: its state, its image as if it ended there, and the key of the last cached step."""

    state: StageState
    image: Image
    key: str = ""
    kept: tuple[KeptStep, ...] = ()
    #: Whether its last step was done before, and the instructions behind that.
    cached: bool = False
    unsaid: tuple[Unsaid, ...] = ()


class Steps:
    """The steps of one build.

    `resolve` finds what they need from elsewhere, and `add` gives them to the crew; when that is done, `result` is
    there.
    """

    def __init__(
        self,
        engine: Engine,
        job: Job,
        options: BuildOptions,
        plan: Plan,
        crew: Crew,
        workshop: Workshop,
        contexts: Contexts,
        caches: ImportedCaches,
        reports: Reports,
    ) -> None:
        self._engine = engine
        self._job = job
        self._options = options
        self._plan = plan
        self._crew = crew
        self._workshop = workshop
        self._contexts = contexts
        self._caches = caches
        self._verdicts = Verdicts(reports)
        self._reports = reports
        self._images: dict[tuple[Source, Platform], Image] = {}
        self._made: dict[tuple[int, int], _Made] = {}
        self._packers = ThreadPoolExecutor(_PACKERS, "transom-build")
        #: The stages that run ahead, by their indexes, and where each of them is.
        self._ahead: dict[int, tuple[Ahead[_Made], StageState]] = {}

    def add(self) -> None:
        """Give the crew the steps, after `resolve`."""
        self._numbers = _Numbers(self._plan)
        last: dict[int, Task] = {}
        for stage in self._plan.stages:
            needs = tuple(last[need.index] for need in stage.needs if isinstance(need, StageRef))
            task = self._crew.add(partial(self._begin, stage), "step", needs)
            ahead = self._runs_ahead(stage)
            for position, instruction in enumerate(stage.instructions, 1):
                work = self._do_ahead if ahead else self._do
                task = self._crew.add(partial(work, stage, position, instruction), "step", (task,))
            if ahead:
                task = self._crew.add(partial(self._seal, stage), "step", (task,))
            last[stage.index] = task

    def close(self) -> None:
        """End what is done behind the steps, after the crew: what was packed is kept for the next build."""
        for stage in self._plan.stages:
            if stage.index in self._ahead and not self._job.cancelled:
                try:
                    self._seal(stage)
                except (OSError, TransomError) as error:
                    log.info("layers of a build that failed are not kept: %s", error)
        self._packers.shutdown()
        for ahead, _ in self._ahead.values():
            ahead.close()

    @property
    def plan(self) -> Plan:
        """What is built; after `resolve` also what the images' triggers do."""
        return self._plan

    def result(self) -> Image:
        """Return what the target stage has become."""
        stage = self._plan.everything[self._plan.target]
        return self._made[stage.index, len(stage.instructions)].image

    def tell_rest(self, image: Image) -> None:
        """Say of the instructions behind the last steps whether they were done before; `image` is the result."""
        target = self._plan.everything[self._plan.target]
        known = not self._options.no_cache and self._is_here(image)
        self._verdicts.tell(self._made[target.index, len(target.instructions)].unsaid, cached=known)
        for stage in self._plan.stages:
            made = self._made[stage.index, len(stage.instructions)]
            self._verdicts.tell(made.unsaid, cached=made.cached)

    def _is_here(self, image: Image) -> bool:
        try:
            self._engine.images.get(Digest.of(write_config(image)))
        except NotFound:
            return False
        return True

    def kept_of_result(self) -> tuple[KeptStep, ...]:
        """Return the steps that the target stage is made of, for those who import them."""
        return self._kept_of(self._plan.everything[self._plan.target])

    def kept(self) -> tuple[KeptStep, ...]:
        """Return all steps that were done or taken from a cache, each once."""
        return tuple({step.key: step for stage in self._plan.stages for step in self._kept_of(stage)}.values())

    def base_blobs(self) -> frozenset[Digest]:
        """Return the blobs of the layers that were made elsewhere: those of images."""
        return frozenset(blob for image in self._images.values() for blob in image.blobs)

    def _kept_of(self, stage: Stage) -> tuple[KeptStep, ...]:
        return self._made[stage.index, len(stage.instructions)].kept

    # Images

    def resolve(self) -> None:
        """Find all images that the plan needs, side by side. Triggers of theirs may make it need more."""
        done: set[int] = set()
        found: set[tuple[Source, Platform]] = set()
        while missing := [stage for stage in self._plan.stages if stage.index not in done]:
            wanted = dict.fromkeys(pair for stage in missing for pair in self._wanted(stage))
            crew = Crew(self._job, {_FIND: _FINDERS})
            for need, platform in wanted:
                if (need, platform) not in found:
                    crew.add(partial(self._find, need, platform), _FIND)
            crew.run()
            found.update(wanted)
            for stage in missing:
                done.add(stage.index)
                image = self._image(stage.base, stage.platform)
                if image is not None:
                    self._plan = self._plan.with_triggers(stage, image.config.on_build)

    def _wanted(self, stage: Stage) -> Iterator[tuple[ImageName | ContextName, Platform]]:
        """Yield what a stage needs from elsewhere, its base first; files are the same for every platform."""
        for need in (stage.base, *stage.sources.values()):
            if isinstance(need, ContextName) and not self._is_image(need):
                yield need, self._plan.target_platform
            elif isinstance(need, ContextName | ImageName):
                yield need, stage.platform

    def _is_image(self, context: ContextName) -> bool:
        return self._options.contexts[context.name].startswith((_IMAGE, _LAYOUT))

    def _find(self, need: ImageName | ContextName, platform: Platform) -> None:
        """Find an image, or the files of a named context."""
        place = self._options.contexts[need.name] if isinstance(need, ContextName) else ""
        if isinstance(need, ContextName) and not self._is_image(need):
            self._contexts.add(need.name, place)
            return
        if place.startswith(_LAYOUT):
            with self._reports.step(f"[context {need.name}] {place}"):
                image = load_layout(
                    self._job, self._options, place.removeprefix(_LAYOUT), platform, self._workshop.lease
                )
        else:
            name = place.removeprefix(_IMAGE) or need.name
            reference = Reference.parse(name).tagged()
            with self._reports.step(f"[internal] load metadata for {reference}") as step:
                image = find_image(self._job, self._options, name, reference, platform, step)
                self._workshop.keep_image(image)
        self._images[need, platform] = image

    def _image(self, source: Source, platform: Platform) -> Image | None:
        """Return the image that a source is, None if it is something else."""
        return self._images.get((source, platform))

    # Steps

    def _begin(self, stage: Stage) -> None:
        """Do the FROM of a stage."""
        number = self._numbers.of(stage, 0)
        heading = self._numbers.title(number, stage.origin)
        if isinstance(stage.base, StageRef | Scratch):
            # There is nothing to do, and so nothing to draw.
            self._made[stage.index, 0] = made = self._from_here(stage, stage.base)
            self._reports.say_in_turn(number, f"{heading}\n ---> {self._shown(made)}\n", last=True)
            return
        with self._reports.step(f"{self._prefix(stage, 0)}FROM {_named(stage)}", number, heading) as step:
            if (image := self._image(stage.base, stage.platform)) is not None:
                made = _Made(begin(self._plan, stage, image.config), replace(image, id=Digest(""), comment=""))
                self._workshop.top(Stack.of(image))
            else:
                assert isinstance(stage.base, ContextName)
                made = self._from_files(stage, self._contexts.named(stage.base.name))
            self._made[stage.index, 0] = made
            step.say(f" ---> {self._shown(made)}\n")

    def _from_here(self, stage: Stage, base: StageRef | Scratch) -> _Made:
        """Return what a stage is that begins with another one, or with nothing."""
        if isinstance(base, Scratch):
            return _Made(begin(self._plan, stage, None), Image(Digest(""), stage.platform))
        below = self._plan.everything[base.index]
        made = self._made[below.index, len(below.instructions)]
        return replace(made, state=begin(self._plan, stage, made.state))

    def _do(self, stage: Stage, position: int, instruction: Instruction) -> None:
        before = self._made[stage.index, position - 1]
        state, resolved = advance(before.state, instruction)
        number = self._numbers.of(stage, position)
        name = f"{self._prefix(stage, position)}{title(resolved, before.state.environment)}"
        if not resolved.makes_layer:
            made = self._finished(before, state, resolved, NewLayer.nothing(), before.image.created)
            self._reports.say_in_turn(number, f"{self._numbers.title(number, instruction)}\n")
            unsaid = (*before.unsaid, Unsaid(number, self._shown(made)))
            self._made[stage.index, position] = replace(made, cached=before.cached, unsaid=unsaid)
            return
        with self._reports.step(name, number, self._numbers.title(number, instruction)) as step:
            made = self._work(stage, before, state, resolved, step)
            self._made[stage.index, position] = made
            step.say(f" ---> {self._shown(made)}\n")

    def _runs_ahead(self, stage: Stage) -> bool:
        """Return whether nothing of a stage is looked up, or told before the next step begins, and every layer is what
        its step has written."""
        links = any(isinstance(item, Copy | Add) and item.link for item in stage.instructions)
        return not (self._may_use_cache(stage) or self._reports.reads or links or self._plan.epoch is not None)

    def _do_ahead(self, stage: Stage, position: int, instruction: Instruction) -> None:
        if stage.index not in self._ahead:
            made = self._made[stage.index, 0]
            workshop = self._workshop.with_check(self._job.check)
            self._ahead[stage.index] = Ahead(made, Stack.of(made.image), workshop, self._packers), made.state
        ahead, before = self._ahead[stage.index]
        state, resolved = advance(before, instruction)
        self._ahead[stage.index] = ahead, state
        if not resolved.makes_layer:
            ahead.add(None, lambda made, layer: self._finished(made, state, resolved, layer, made.image.created))
            return
        name = f"{self._prefix(stage, position)}{title(resolved, before.environment)}"
        with self._reports.step(name) as step, self._prepared(stage, ahead.stack, resolved, step) as work:
            layer = work.do()
            when = format_moment(self._now())

        def finish(made: _Made, layer: NewLayer) -> _Made:
            key = work.key(Stack.of(made.image))
            return self._kept(made, state, resolved, key, CachedStep(layer, when))

        ahead.add(layer, finish)

    def _seal(self, stage: Stage) -> None:
        """Wait for what is done behind the steps of a stage, and keep it for the next build."""
        if stage.index not in self._ahead:
            return
        ahead, _ = self._ahead[stage.index]
        with ExitStack() as told:
            if not ahead.packed:
                told.enter_context(self._reports.step(f"{self._prefix(stage, len(stage.instructions))}packing layers"))
            made = ahead.seal()
        del self._ahead[stage.index]
        first = self._made[stage.index, 0]
        diff_ids = first.image.diff_ids
        for step in made.kept[len(first.kept) :]:
            self._engine.build_cache.forget(step.key)
            diff_ids = diff_ids if step.layer.empty else (*diff_ids, step.layer.diff_id)
            self._add_to_cache(step, diff_ids)
        self._made[stage.index, len(stage.instructions)] = made

    def _work(self, stage: Stage, before: _Made, state: StageState, resolved: Resolved, step: Step) -> _Made:
        """Do what changes files, or take what was made before."""
        try:
            with self._prepared(stage, Stack.of(before.image), resolved, step) as work:
                return self._cached_or_done(stage, before, state, resolved, work, step)
        except TransomError:
            self._verdicts.tell(before.unsaid, cached=False)
            raise

    @contextmanager
    def _prepared(self, stage: Stage, stack: Stack, resolved: Resolved, step: Step) -> Iterator[Work]:
        """Give the work of an instruction for the length of a `with` block, whose errors say where they belong."""
        files = partial(self._files, stage)
        worker = Worker(Workplace(self._engine, self._options, self._workshop, self._contexts, files))
        try:
            with worker.prepare(stack, resolved, step) as work:
                yield work
        except TransomError as error:
            raise worker.explain(error, resolved, self._plan.dockerfile, draws=self._reports.draws) from error

    def _cached_or_done(
        self, stage: Stage, before: _Made, state: StageState, resolved: Resolved, work: Work, step: Step
    ) -> _Made:
        cache = self._engine.build_cache
        below = Stack.of(before.image)
        key = work.key(below)
        with cache.building(key, self._crew.check):
            found = self._known(before, key) if self._may_use_cache(stage) else None
            fetched = None
            if found is None and self._may_use_cache(stage):
                found = fetched = self._caches.fetch(key, step)
            cached = found is not None
            self._verdicts.tell(before.unsaid, cached=cached)
            if cached:
                step.cached()
            if found is None:
                layer = work.do()
                done = NewLayer.nothing()
                if layer is not None:
                    done = self._workshop.finish(layer, Stack() if work.link else below, below)
                found = CachedStep(done, format_moment(self._now()))
            made = replace(self._kept(before, state, resolved, key, found), cached=cached)
            if fetched is not None or not cached:
                cache.forget(key)
                self._add_to_cache(made.kept[-1], (*before.image.diff_ids, found.layer.diff_id))
        return made

    def _kept(self, before: _Made, state: StageState, resolved: Resolved, key: str, step: CachedStep) -> _Made:
        """Return what a stage has become by a step that is kept."""
        text = f"{resolved.instruction.name} {resolved.instruction.text.partition(' ')[2]}".strip()
        made = self._finished(before, state, resolved, step.layer, self._moment(step.made))
        return replace(made, key=key, kept=(*before.kept, KeptStep(key, before.key, step, text)))

    def _add_to_cache(self, step: KeptStep, diff_ids: tuple[Digest, ...]) -> None:
        self._engine.build_cache.add(
            step.key, step.step, diff_ids, type="regular", description=step.description, parent=step.parent
        )

    def _known(self, before: _Made, key: str) -> CachedStep | None:
        """Return what was done before in this engine, and is still there and allowed."""
        found = self._engine.build_cache.find(key)
        if found is None or not self._workshop.keep(found.layer):
            return None
        below = before.image.diff_ids
        return found if self._caches.allows(below if found.layer.empty else (*below, found.layer.diff_id)) else None

    def _may_use_cache(self, stage: Stage) -> bool:
        names = {name.lower() for name in self._options.no_cache_filter}
        return not self._options.no_cache and stage.name not in names and str(stage.index) not in names

    def _finished(self, before: _Made, state: StageState, resolved: Resolved, layer: NewLayer, created: str) -> _Made:
        comment = _COMMENT if resolved.history else ""
        step = History(created=created, created_by=resolved.history, author=state.author, comment=comment)
        image = derive(before.image, layer, config=state.config, step=step)
        if not resolved.history:
            image = replace(image, history=before.image.history)
        return _Made(state, replace(image, author=state.author), before.key, before.kept)

    def _files(self, stage: Stage, name: str) -> Stack | Context:
        """Return what an instruction of a stage names by `--from` or `from=`: layers, or a context of files."""
        source: Source = stage.source(name)
        if isinstance(source, StageRef):
            other = self._plan.everything[source.index]
            return Stack.of(self._made[other.index, len(other.instructions)].image)
        if isinstance(source, ContextName) and self._contexts.has(source.name):
            return self._contexts.named(source.name)
        image = self._image(source, stage.platform)
        return Stack() if image is None else Stack.of(image)

    def _from_files(self, stage: Stage, context: Context) -> _Made:
        """Return what a stage is that begins with the files of a named context."""
        top = os.open(context.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with self._workshop.writable(Stack()) as layer:
                with self._workshop.mounted(layer) as tree:
                    copy_into(tree, find(top, "/"), "/", Manner(), self._crew.check)
                made = self._workshop.finish(layer, Stack())
        finally:
            os.close(top)
        step = History(created=self._moment(format_moment(self._now())), created_by=f"FROM {stage.origin.image}")
        image = derive(None, made, config=RunConfig(), step=step, platform=stage.platform)
        return _Made(begin(self._plan, stage, None), image)

    def _now(self) -> int:
        return time.time_ns()

    def _moment(self, made: str) -> str:
        """Return when something was made, as the image says it."""
        return made if self._plan.epoch is None else format_moment(self._plan.epoch * _SECOND)

    def _prefix(self, stage: Stage, position: int) -> str:
        """Return what goes before the name of a step when progress is drawn: `[stage 2/5] `."""
        counted = int(isinstance(stage.base, ImageName | ContextName))
        counted += sum(isinstance(item, Run | Copy | Add | Workdir) for item in stage.instructions[:position])
        name = self._plan.title(stage)
        return f"[{name}{' ' if name else ''}{counted}/{stage.steps}] "

    def _shown(self, made: _Made) -> str:
        """Return the beginning of the ID that an image would have if its stage ended here."""
        return Digest.of(write_config(made.image)).hex[:12]


@dataclass
class _Numbers:
    """The numbers of the steps that Docker's own builder tells of: every instruction of the stages that are built."""

    plan: Plan
    first: dict[int, int] = field(default_factory=dict)
    total: int = 0

    def __post_init__(self) -> None:
        for stage in self.plan.stages:
            self.first[stage.index] = self.total
            self.total += 1 + len(stage.instructions)

    def of(self, stage: Stage, position: int) -> int:
        """Return the number of a stage's step; 0 is its FROM."""
        return self.first[stage.index] + position

    def title(self, number: int, instruction: Instruction) -> str:
        """Return the line that tells of a step."""
        return f"Step {number + 1}/{self.total} : {instruction.text}"


def _named(stage: Stage) -> str:
    base = stage.base
    if isinstance(base, ImageName):
        return str(base.reference)
    if isinstance(base, From):
        return base.image
    return stage.origin.image
