"""The end of a build: the image in the store, with its names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from transom.dockerfile.stages import Plan
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.image_config import write_config
from transom.graph.lease import Lease
from transom.graph.making import CONFIG_TYPE, describe
from transom.graph.model import Image
from transom.times import format_moment
from transom_builder.cache_transfer import Exported, annotate
from transom_builder.options import BuildOptions
from transom_builder.outputs import names_of
from transom_builder.reports import Reports
from transom_builder.workshop import Stack, Workshop

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["finish", "publish"]

_SECOND = 10**9


def finish(options: BuildOptions, plan: Plan, image: Image) -> Image:
    """Return what the target stage has become as the image that the client wants: with its labels, and its time."""
    labels = {**image.config.labels, **options.labels}
    image = replace(image, config=replace(image.config, labels=labels), docker_version="", container="")
    if plan.epoch is not None:
        image = replace(image, created=format_moment(plan.epoch * _SECOND))
    return image


def publish(
    engine: Engine,
    options: BuildOptions,
    image: Image,
    workshop: Workshop,
    lease: Lease,
    reports: Reports,
    steps: tuple[Exported, ...] = (),
) -> Image:
    """Store what a build has made as an image, let the tags name it, and return it.

    With `steps` its manifest says how it was made, for those who import it as a cache.
    """
    names = names_of(options)
    with reports.step("exporting to image") as step:
        workshop.top(Stack.of(image))
        content = write_config(image)
        layers = [engine.images.descriptor(blob) for blob in image.blobs]
        config = Descriptor(CONFIG_TYPE, Digest.of(content), len(content))
        manifest, manifest_content = describe(config, layers, annotate(steps) if steps else None)
        # With its names at once: a kill in between would leave an image that nobody finds.
        result = engine.images.publish(
            content,
            manifest,
            manifest_content,
            layers,
            image.sizes,
            driver=workshop.driver,
            lease=lease,
            tags=names,
        )
        step.status(f"writing image {result.id}", done=True)
        for tag in names:
            step.status(f"naming to {tag}", done=True)
    for tag in names:
        engine.events.record("image", "tag", result.id, {**result.config.labels, "name": tag.familiar})
    return result
