"""Checks of the Dockerfile that a build is made of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from transom.dockerfile.checks import Finding, check, options_of, render
from transom.dockerfile.ignore import PatternError, Patterns, ignore_names
from transom.dockerfile.stages import ImageName, Plan
from transom.errors import InvalidParameter
from transom_builder.contexts import read_file
from transom_builder.images import local_image

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["check_alone", "check_before"]


def check_alone(engine: Engine, job: Job, plan: Plan, root: Path, dockerfile: str, *, everything: bool) -> None:
    """Tell what the checks of a Dockerfile find, for somebody who builds nothing.

    `root` are the context's files, `dockerfile` the Dockerfile's name among them. Of images, those that are here are
    looked at. Raises `DockerfileError`.
    """
    findings = _findings(engine, plan, root, dockerfile, everything=everything)
    job.say(render(findings, plan.dockerfile))
    _tell(job, findings)


def check_before(engine: Engine, job: Job, plan: Plan, root: Path, dockerfile: str, *, draws: bool) -> None:
    """Check a Dockerfile whose images are here before it is built, and tell those who draw what is found.

    Raises `DockerfileError` for what cannot be built, `InvalidParameter` where the Dockerfile says that findings are
    errors.
    """
    findings = _findings(engine, plan, root, dockerfile, everything=False)
    if draws:
        _tell(job, findings)
    options_of(plan).refuse(findings)


def _findings(engine: Engine, plan: Plan, root: Path, dockerfile: str, *, everything: bool) -> list[Finding]:
    bases = {
        stage.index: image
        for stage in plan.everything
        if isinstance(stage.base, ImageName)
        if (image := local_image(engine, stage.base.name, stage.platform)) is not None
    }
    return check(plan, everything=everything, bases=bases, ignored=_ignored(root, dockerfile))


def _ignored(root: Path, dockerfile: str) -> Patterns | None:
    """Return what is left out of a context, None if nothing says so."""
    for name in ignore_names(dockerfile):
        try:
            content = read_file(root, name)
        except InvalidParameter:
            continue
        try:
            return Patterns.parse(content.decode("utf-8", "surrogateescape"))
        except PatternError as error:
            raise InvalidParameter(f"failed to parse {name}: {error}") from error
    return None


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
