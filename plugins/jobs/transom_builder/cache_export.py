"""What is kept of the steps of a build, for others (`--cache-to`): in a registry, or in a directory of the client's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from transom.builds import CacheStore
from transom.errors import TransomError
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.lease import Lease
from transom_builder.attributes import flag
from transom_builder.cache_records import CONFIG_TYPE, KeptStep, describe_cache
from transom_builder.cache_stores import reference_of
from transom_builder.compressions import compressed
from transom_builder.layouts import pack_layout
from transom_builder.options import BuildOptions
from transom_builder.reports import Reports, Step
from transom_builder.steps import Steps

if TYPE_CHECKING:
    from transom.job import Job

__all__ = ["export_caches", "has_inline_cache"]


def has_inline_cache(options: BuildOptions) -> bool:
    """Return whether the image is to tell of its steps."""
    return any(store.type == "inline" for store in options.cache_to)


def export_caches(job: Job, options: BuildOptions, steps: Steps, lease: Lease, reports: Reports) -> None:
    """Export what is kept of the steps: of those that the result is made of, or of all with `mode=max`.

    Raises what a push raises, unless errors are to be ignored.
    """
    for store in options.cache_to:
        if store.type == "inline":
            continue
        name = f"to {reference_of(store)}" if store.type == "registry" else "to client directory"
        with reports.step(f"exporting cache {name}") as step:
            kept = steps.kept() if store.attributes.get("mode") == "max" else steps.kept_of_result()
            try:
                _export(job, options, store, kept, lease, step)
            except TransomError as error:
                if not flag(store.attributes, "ignore-error"):
                    raise
                job.check()
                step.status(f"failed to export the cache: {error}", done=True)


def _export(
    job: Job, options: BuildOptions, store: CacheStore, kept: Sequence[KeptStep], lease: Lease, step: Step
) -> None:
    config, manifest, blobs = describe_cache(_compressed(job, kept, store, lease))
    step.status("preparing build cache for export", done=True)
    if store.type == "local":
        assert options.session is not None
        with options.session.output(store.attributes["stream"]) as stream:
            for piece in pack_layout(job.engine.content, manifest, config, blobs, job.check):
                stream.write(piece)
        return
    described = Descriptor(CONFIG_TYPE, Digest.of(config), len(config))
    lease.keep_blob(described)
    with job.engine.content.ingest(described.digest, described.size) as ingest:
        if not ingest.present:
            ingest.reset()
            ingest.write(config)
            ingest.commit()
    reference = reference_of(store)
    job.child(
        "artifact_push",
        step.follow,
        reference=reference.familiar,
        manifest=manifest,
        blobs=(*blobs, described),
        credentials=options.credentials.get(reference.domain),
    ).run()


def _compressed(job: Job, kept: Sequence[KeptStep], store: CacheStore, lease: Lease) -> list[KeptStep]:
    """Return steps with their layers as the cache is to have them."""
    layers = list(dict.fromkeys(step.layer.blob for step in kept if not step.layer.empty))
    found = dict(zip(layers, compressed(job, layers, store.attributes, lease), strict=True))
    return [step if step.layer.empty else step.with_blob(found[step.layer.blob]) for step in kept]
