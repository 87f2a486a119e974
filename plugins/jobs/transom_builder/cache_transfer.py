"""What is kept of steps, in images: so that another engine need not do them again.

The manifest of an image that a build exports its cache to has an annotation: for each step of the image its key, and
which layer it has made. Whoever imports it takes the layers as what those keys stand for.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from transom import records
from transom.builds import CacheStore
from transom.errors import InvalidParameter, NotFound, TransomError, Unsupported
from transom.graph.build_cache import CachedStep
from transom.graph.digest import Digest
from transom.graph.making import NewLayer
from transom.graph.model import Image
from transom.graph.reference import Reference
from transom_builder.options import BuildOptions
from transom_builder.outputs import names_of
from transom_builder.reports import Reports

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["Exported", "annotate", "check_stores", "export_caches", "import_caches", "wants_export"]

_ANNOTATION = "org.transom.build.cache"
_VERSION = 1
_LARGEST_MANIFEST = 8 << 20


@dataclass(frozen=True)
class Exported:
    """A step as it is exported: its key, that of the step before, its layer's diff ID (empty for none), and when it was
    made."""

    key: str
    parent: str
    diff_id: str
    made: str
    description: str


def check_stores(options: BuildOptions) -> None:
    """Raise `InvalidParameter` or `Unsupported` for places of caches that cannot be."""
    for store in options.cache_from:
        if store.type not in ("registry", "inline"):
            raise Unsupported(f"a cache cannot be imported from the type {store.type!r}: registry is what there is")
        if store.type == "registry":
            Reference.parse(_reference(store))
    for store in options.cache_to:
        if store.type not in ("registry", "inline"):
            raise Unsupported(
                f"a cache cannot be exported to the type {store.type!r}: inline and registry are what there is"
            )
        if store.attributes.get("mode", "min") != "min":
            raise Unsupported("a cache is exported with mode=min: what the image is made of")
        if store.type == "registry":
            Reference.parse(_reference(store))


def wants_export(options: BuildOptions) -> bool:
    """Return whether the image is to have the cache in it."""
    return bool(options.cache_to)


def annotate(steps: tuple[Exported, ...]) -> dict[str, str]:
    """Return what the manifest of an image says of its steps."""
    value = {"version": _VERSION, "steps": [records.dump(step) for step in steps]}
    return {_ANNOTATION: orjson.dumps(value).decode()}


def import_caches(engine: Engine, job: Job, options: BuildOptions, reports: Reports) -> None:
    """Take over what the images of `--cache-from` have; one that is not there is told of, and no error."""
    for store in options.cache_from:
        if store.type != "registry":
            continue
        reference = Reference.parse(_reference(store)).tagged()
        with reports.step(f"importing cache manifest from {reference}") as step:
            try:
                _import(engine, job, options, reference)
            except TransomError as error:
                job.check()
                step.status(f"failed to import the cache: {error}", done=True)


def export_caches(job: Job, options: BuildOptions, image: Image, reports: Reports) -> None:
    """Push an image, which has the cache in it, to where caches are exported to. Raises what a push raises."""
    images = job.engine.images
    for store in options.cache_to:
        if store.type != "registry":
            continue
        reference = Reference.parse(_reference(store)).tagged()
        before = images.named(reference)
        with reports.step(f"exporting cache to {reference}") as step:
            images.tag(image, reference)
            try:
                credentials = options.credentials.get(reference.domain)
                job.child("push", step.follow, reference=reference.familiar, credentials=credentials).run()
            finally:
                if before is not None:
                    images.tag(before, reference)
                elif reference not in names_of(options):
                    images.remove(reference.familiar)


def _import(engine: Engine, job: Job, options: BuildOptions, reference: Reference) -> None:
    before = _known(engine, reference)
    try:
        job.child("pull", reference=reference.familiar, credentials=options.credentials.get(reference.domain)).run()
    except TransomError:
        if before is None:
            raise
    image = engine.images.get(reference.familiar)
    with engine.images.lease(f"import {secrets.token_hex(8)}", resumable=False) as lease:
        engine.images.keep(image, lease)
        _take(engine, image)
        if before is None:
            # What was not here before is no image for anybody but this build.
            engine.images.remove(reference.familiar)


def _known(engine: Engine, reference: Reference) -> Image | None:
    try:
        return engine.images.get(reference.familiar)
    except NotFound:
        return None


def _take(engine: Engine, image: Image) -> None:
    """Keep what an image's manifest says of its steps. What says something else, or nonsense, is left."""
    content = engine.content.read(engine.images.manifest(image).digest, _LARGEST_MANIFEST)
    text = (orjson.loads(content).get("annotations") or {}).get(_ANNOTATION)
    if not isinstance(text, str):
        return
    for step in _parse(text):
        layer, diff_ids = NewLayer.nothing(), image.diff_ids
        if step.diff_id:
            if step.diff_id not in image.diff_ids:
                continue
            index = image.diff_ids.index(Digest(step.diff_id))
            diff_ids = image.diff_ids[: index + 1]
            layer = NewLayer(engine.images.descriptor(image.blobs[index]), diff_ids[-1], image.sizes[index])
        engine.build_cache.add(
            step.key,
            CachedStep(layer, step.made),
            diff_ids,
            type="regular",
            description=step.description,
            parent=step.parent,
        )


def _parse(text: str) -> tuple[Exported, ...]:
    try:
        value: Any = orjson.loads(text)
        if value["version"] != _VERSION:
            return ()
        steps = tuple(records.load(Exported, step) for step in value["steps"])
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise InvalidParameter(f"the image's cache cannot be read: {error}") from error
    if not all(isinstance(item, str) for step in steps for item in vars(step).values()):
        raise InvalidParameter("the image's cache cannot be read: a step is no text")
    return steps


def _reference(store: CacheStore) -> str:
    reference = store.attributes.get("ref", "")
    if not reference:
        raise InvalidParameter(f"ref is needed for the {store.type} cache: give it with ref=NAME")
    return reference
