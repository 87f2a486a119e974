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
from transom_builder.cache_export import has_inline_cache
from transom_builder.cache_records import annotate
from transom_builder.compressions import compressed
from transom_builder.options import BuildOptions
from transom_builder.outputs import has_oci_types, layer_attributes, names_of
from transom_builder.reports import Reports
from transom_builder.steps import Steps
from transom_builder.workshop import Stack, Workshop

if TYPE_CHECKING:
    from transom.job import Job

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
    job: Job, options: BuildOptions, image: Image, steps: Steps, workshop: Workshop, lease: Lease, reports: Reports
) -> Image:
    """Store what a build has made as an image, let the tags name it, and return it.

    With an inline cache its manifest tells of the steps, for those who import it.
    """
    engine = job.engine
    names, attributes = names_of(options), layer_attributes(options)
    annotations = annotate(steps.kept_of_result()) if has_inline_cache(options) else None
    with reports.step("exporting to image") as step:
        workshop.top(Stack.of(image))
        content = write_config(image)
        layers = [engine.images.descriptor(blob) for blob in image.blobs]
        layers = compressed(job, layers, attributes, lease, made_elsewhere=steps.base_blobs())
        config = Descriptor(CONFIG_TYPE, Digest.of(content), len(content))
        manifest, manifest_content = describe(config, layers, annotations, docker=not has_oci_types(options))
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
