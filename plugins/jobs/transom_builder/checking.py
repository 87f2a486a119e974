"""Checks of the Dockerfile that a build is made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from transom.dockerfile.checks import Finding, check, options_of, render
from transom.dockerfile.ignore import Patterns
from transom.dockerfile.stages import ImageName, Plan
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
    findings = _findings(engine, plan, ignored, everything=everything)
    job.say(render(findings, plan.dockerfile))
    _tell(job, findings)


def check_before(engine: Engine, job: Job, plan: Plan, ignored: Patterns | None, *, draws: bool) -> None:
    """Check a Dockerfile whose images are here before it is built, and tell those who draw what is found.

    Raises `DockerfileError` for what cannot be built, `InvalidParameter` where the Dockerfile says that findings are
    errors.
    """
    findings = _findings(engine, plan, ignored, everything=False)
    if draws:
        _tell(job, findings)
    options_of(plan).refuse(findings)


def _findings(engine: Engine, plan: Plan, ignored: Patterns | None, *, everything: bool) -> list[Finding]:
    bases = {
        stage.index: image
        for stage in plan.everything
        if isinstance(stage.base, ImageName)
        if (image := local_image(engine, stage.base.name, stage.platform)) is not None
    }
    return check(plan, everything=everything, bases=bases, ignored=ignored)


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
