"""Checks of the Dockerfile that a build is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from transom.dockerfile.checks import Finding, check, options_of, render
from transom.dockerfile.ignore import Patterns
from transom.dockerfile.stages import ImageName, Plan
from transom.graph.model import Image
from transom_builder.images import local_image

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["check_alone", "check_before"]


def check_alone(engine: Engine, job: Job, plan: Plan, ignored: Patterns | None, *, everything: bool) -> None:
    """Tell what the checks of a Dockerfile find, for somebody who builds nothing.

    `ignored` is what is left out of the context, if that is known. Of images, those that are here are looked at. Raises
    `DockerfileError`.
    """
    bases = _bases(engine, plan)
    plan = _with_triggers(plan, bases, everything=everything)
    findings = check(plan, everything=everything, bases=bases, ignored=ignored)
    job.say(render(findings, plan.dockerfile))
    _tell(job, findings)


def check_before(engine: Engine, job: Job, plan: Plan, ignored: Patterns | None, *, draws: bool) -> None:
    """Check a Dockerfile whose images are here before it is built, and tell those who draw what is found.

    The triggers of the images are in the plan.

    Raises `DockerfileError` for what cannot be built, `InvalidParameter` where the Dockerfile says that findings are
    errors.
    """
    findings = check(plan, bases=_bases(engine, plan), ignored=ignored)
    if draws:
        _tell(job, findings)
    options_of(plan).refuse(findings)


def _bases(engine: Engine, plan: Plan) -> Mapping[int, Image]:
    """Return the images that stages begin with, as far as they are here."""
    return {
        stage.index: image
        for stage in plan.everything
        if isinstance(stage.base, ImageName)
        if (image := local_image(engine, stage.base.name, stage.platform)) is not None
    }


def _with_triggers(plan: Plan, bases: Mapping[int, Image], *, everything: bool) -> Plan:
    """Return the plan with the triggers of the images that are known. Raises `DockerfileError`."""
    done: set[int] = set()
    while missing := [item for item in (plan.everything if everything else plan.stages) if item.index not in done]:
        for stage in missing:
            done.add(stage.index)
            if stage.index in bases:
                plan = plan.with_triggers(stage, bases[stage.index].config.on_build)
    return plan


def _tell(job: Job, findings: Iterable[Finding]) -> None:
    for finding in findings:
        job.tell(
            warning={
                "rule": finding.rule,
                "description": finding.description,
                "url": finding.url,
                "detail": finding.detail,
                "line": finding.location.first,
            }
        )
