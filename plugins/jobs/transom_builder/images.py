"""The images that a build begins with and copies from: found here, or pulled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom.errors import InvalidParameter, NotFound
from transom.graph.lease import Lease
from transom.graph.model import Image, Platform
from transom.graph.platforms import normalize
from transom.graph.reference import Reference
from transom_builder.options import BuildOptions
from transom_builder.reports import Step

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["find_image", "load_layout", "local_image"]


def find_image(
    job: Job, options: BuildOptions, name: str, reference: Reference, platform: Platform, step: Step
) -> Image:
    """Return the image of a name for a platform, pulled if it is not here or the client wants the newest.

    Raises `NotFound`, and what a pull raises.
    """
    if not options.pull and (found := local_image(job.engine, name, platform)) is not None:
        return found
    pull = job.child(
        "pull",
        step.follow,
        reference=reference.familiar,
        platform="" if _same(platform, Platform.here()) else str(platform),
        credentials=options.credentials.get(reference.domain),
    )
    pull.run()
    return job.engine.images.get(reference.familiar)


def load_layout(job: Job, options: BuildOptions, place: str, platform: Platform, lease: Lease) -> Image:
    """Return an image of an OCI layout of the client's, `NAME[:TAG][@DIGEST]`, which is here for this build alone.

    Raises `NotFound`, and what `layout_load` raises.
    """
    if options.session is None:
        raise InvalidParameter(f"the context {place} is the client's, which has opened no session")
    name, _, digest = place.partition("@")
    name, _, tag = name.partition(":")
    with options.session.context(name) as stream:
        load = job.child("layout_load", chosen=digest or tag, lease=lease, platform=platform)
        load.input = stream
        image: Image = load.run()
    return image


def local_image(engine: Engine, name: str, platform: Platform) -> Image | None:
    """Return the image of a name for a platform if it is here."""
    try:
        image = engine.images.get(name)
    except NotFound:
        return None
    return image if _same(image.platform, platform) else None


def _same(one: Platform, other: Platform) -> bool:
    one, other = normalize(one), normalize(other)
    return (one.os, one.architecture) == (other.os, other.architecture) and one.variant == other.variant
