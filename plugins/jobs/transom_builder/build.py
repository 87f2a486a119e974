"""The job `build`: an image from a Dockerfile and the files around it.

    context ─▶ Dockerfile ─▶ plan of stages ─▶ base images ─▶ steps, each after those that it needs ─▶ image

A build is a graph of steps (`transom_builder.steps`); independent ones are done at the same time, by as many threads as
are free. What it makes is kept by a lease until the image refers to it, or by what is kept of steps
(`transom.graph.build_cache`); the rest goes with the job, and after `kill -9` at the next start.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from transom.builds import BuildOutput, BuildSession, CacheStore
from transom.containers.model import Ulimit
from transom.containers.names import make_id
from transom.crew import Crew
from transom.dockerfile.parse import parse
from transom.dockerfile.stages import plan
from transom.errors import InvalidParameter
from transom.graph.model import Platform
from transom.graph.platforms import parse_platform
from transom.graph.reference import Reference, parse_name
from transom.registry import Credentials
from transom_builder.cache_export import export_caches
from transom_builder.cache_import import ImportedCaches
from transom_builder.cache_stores import check_stores
from transom_builder.checking import check_alone, check_before
from transom_builder.contexts import Contexts
from transom_builder.download import is_url
from transom_builder.entitlements import check_allowed, check_entitlements
from transom_builder.options import BuildOptions
from transom_builder.outputs import check_outputs, deliver_files, deliver_images, keeps_image, names_of
from transom_builder.publishing import finish, publish
from transom_builder.recipe import Recipe, read_recipe, take_away
from transom_builder.reports import Reports
from transom_builder.steps import Steps
from transom_builder.workshop import Workshop

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["build"]

#: As many steps of one build are done at the same time. Most of them wait for a process, or for a disk.
_LANES = {"step": 8}
#: What is done at the same time before that.
_BEGINNING = {"context": 1, "images": 1}


def build(
    engine: Engine,
    job: Job,
    *,
    dockerfile: str = "",
    hidden: str = "",
    remote: str = "",
    tags: tuple[str, ...] = (),
    target: str = "",
    build_args: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    no_cache: bool = False,
    no_cache_filter: tuple[str, ...] = (),
    pull: bool = False,
    platform: str = "",
    network: str = "",
    allow: tuple[str, ...] = (),
    add_hosts: tuple[str, ...] = (),
    shm_size: int = 0,
    ulimits: tuple[Ulimit, ...] = (),
    cache_from: tuple[CacheStore, ...] = (),
    cache_to: tuple[CacheStore, ...] = (),
    outputs: tuple[BuildOutput, ...] = (),
    contexts: Mapping[str, str] | None = None,
    session: BuildSession | None = None,
    credentials: Mapping[str, Credentials] | None = None,
    progress: str = "docker",
    quiet: bool = False,
    remove: bool = True,
    force_remove: bool = False,  # noqa: ARG001 a step's container never stays when it fails
    check: bool = False,
    graphdriver: str = "",
    execdriver: str = "",
) -> str:
    """Build an image and return its ID, empty if there is none in the end.

    `transom.builds` says what the parameters are and what is reported.

    With `check` the Dockerfile is only checked, and there is no ID.

    Raises `DockerfileError` for what is wrong in the Dockerfile or fails in it, `InvalidParameter` and `Unsupported`
    for what cannot be, and what registries and drivers raise. Then there is no new image and no name has changed.
    """
    options = BuildOptions(
        dockerfile=(not is_url(dockerfile) and dockerfile) or "Dockerfile",
        dockerfile_url=dockerfile if is_url(dockerfile) else "",
        hidden=hidden,
        remote=remote,
        tags=tuple(_parse_tag(tag) for tag in tags),
        target=target,
        build_args=build_args or {},
        labels=labels or {},
        no_cache=no_cache,
        no_cache_filter=no_cache_filter,
        pull=pull,
        network=network,
        allow=allow,
        add_hosts=add_hosts,
        shm_size=shm_size,
        ulimits=ulimits,
        cache_from=cache_from,
        cache_to=cache_to,
        outputs=outputs,
        contexts=contexts or {},
        session=session,
        credentials=credentials or {},
        remove=remove,
        graphdriver=graphdriver,
        execdriver=execdriver,
    )
    check_allowed(options)
    check_outputs(options)
    check_stores(options)
    wanted = parse_platform(platform) if platform else None
    reports = Reports(job, progress, quiet=quiet)
    crew = Crew(job, _LANES)
    with ExitStack() as stack:
        lease = stack.enter_context(engine.images.lease(f"build {make_id()}", resumable=False))
        stack.callback(reports.finish)
        workshop = Workshop(engine, engine.graphdriver(graphdriver), lease, crew.check)
        files = stack.enter_context(Contexts(job, options, workshop, reports))
        making = _Making(
            engine, job, options, crew, workshop, files, ImportedCaches(job, options, files, lease, reports), reports
        )
        steps = making.steps(wanted, check=check)
        if steps is None:
            return ""
        found = steps.plan
        image = finish(options, found, steps.result())
        steps.tell_rest(image)
        deliver_files(options, image, workshop, reports)
        result = publish(job, options, image, steps, workshop, lease, reports) if keeps_image(options) else None
        if result is not None:
            deliver_images(job, options, result, reports)
        export_caches(job, options, steps, lease, reports)
    for warning in found.warnings:
        reports.say(f"{warning}\n")
    if result is None:
        return ""
    reports.result(result.id)
    reports.say(f"Successfully built {result.id[7:19]}\n")
    for name in names_of(options):
        reports.say(f"Successfully tagged {name.familiar}\n")
    return result.id


@dataclass
class _Making:
    """What a build has at hand until its steps are done."""

    engine: Engine
    job: Job
    options: BuildOptions
    crew: Crew
    workshop: Workshop
    files: Contexts
    caches: ImportedCaches
    reports: Reports
    recipe: Recipe | None = None
    planned: Steps | None = None

    def steps(self, platform: Platform | None, *, check: bool) -> Steps | None:
        """Do the steps and return them; None if the Dockerfile is only to be checked.

        What they need from elsewhere is fetched while the context comes.
        """
        beginning = Crew(self.job, _BEGINNING)
        beginning.add(self.files.load, "context")
        beginning.add(partial(self._prepare, platform, check=check), "images")
        beginning.run()
        recipe, steps = self.recipe, self.planned
        if recipe is None or steps is None:
            return None
        take_away(self.files, self.options, recipe)
        steps.add()
        check_entitlements(self.options, steps.plan)
        check_before(self.engine, self.job, steps.plan, recipe.ignored, draws=self.reports.draws)
        try:
            self.crew.run()
        finally:
            steps.close()
            self.engine.layers.secure(self.workshop.driver)
        return steps

    def _prepare(self, platform: Platform | None, *, check: bool) -> None:
        """Read the Dockerfile, and find what its stages need from elsewhere."""
        options = self.options
        recipe = self.recipe = read_recipe(self.files, options)
        found = plan(
            parse(recipe.content, recipe.name),
            target=options.target,
            build_args=options.build_args,
            platform=platform,
            contexts=tuple(options.contexts),
        )
        if check:
            check_alone(self.engine, self.job, found, recipe.ignored, everything=not options.target)
            return
        self.caches.read()
        workshop = self.workshop.with_epoch(found.epoch)
        steps = Steps(self.engine, self.job, options, found, self.crew, workshop, self.files, self.caches, self.reports)
        steps.resolve()
        self.planned = steps


def _parse_tag(tag: str) -> Reference:
    reference = parse_name(tag, "")
    if reference is None:
        raise InvalidParameter("invalid reference format: an image's name cannot be empty")
    return reference
