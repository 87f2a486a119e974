"""What others have kept of steps (`--cache-from`): told of when a build begins, and fetched where a step needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from transom.builds import CacheStore
from transom.errors import CorruptContent, InvalidParameter, NotFound, TransomError
from transom.graph.build_cache import CachedStep
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.lease import Lease
from transom.graph.model import Image
from transom_builder.cache_records import CONFIG_TYPE, KeptStep, read_annotation, read_cache, read_descriptor
from transom_builder.cache_stores import reference_of
from transom_builder.contexts import Contexts
from transom_builder.layouts import copy_blob, find_manifest, read_blob
from transom_builder.options import BuildOptions
from transom_builder.reports import Reports, Step

if TYPE_CHECKING:
    from transom.job import Job

__all__ = ["ImportedCaches"]

_LARGEST_CONFIG = 8 << 20
#: Brings a blob into the content store.
_Fetch = Callable[[Descriptor], None]


class ImportedCaches:
    """All caches of one build. `fetch` is safe to call from many threads; what it brings is kept by the lease."""

    def __init__(self, job: Job, options: BuildOptions, contexts: Contexts, lease: Lease, reports: Reports) -> None:
        self._job = job
        self._options = options
        self._contexts = contexts
        self._lease = lease
        self._reports = reports
        self._steps: dict[str, tuple[KeptStep, _Fetch]] = {}
        #: The images that Docker's own builder takes steps from and no others, where there are any.
        self._images: list[Image] = []

    def read(self) -> None:
        """Read what the caches tell of. One that cannot be read is told of, and no error.

        For clients of Docker's own builder they are images that are here, and no others.
        """
        if not self._reports.draws:
            for store in self._options.cache_from:
                self._read_image(store)
            return
        for store in self._options.cache_from:
            if store.type == "inline":
                continue
            name = str(reference_of(store)) if store.type == "registry" else "the client's directory"
            with self._reports.step(f"importing cache manifest from {name}") as step:
                try:
                    self._read(store, step)
                except TransomError as error:
                    self._job.check()
                    step.status(f"failed to import the cache: {error}", done=True)

    def allows(self, diff_ids: tuple[Digest, ...]) -> bool:
        """Return whether a step of this engine may be taken that makes these layers.

        Docker's own builder looks nowhere else if it is given images to look in.
        """
        if self._reports.draws or not self._options.cache_from:
            return True
        return any(image.diff_ids[: len(diff_ids)] == diff_ids for image in self._images)

    def fetch(self, key: str, step: Step) -> CachedStep | None:
        """Return what the step of a key made, after bringing its layer here; None if no cache has it."""
        if key not in self._steps:
            return None
        kept, fetch = self._steps[key]
        if not kept.layer.empty:
            try:
                fetch(kept.layer.blob)
            except TransomError as error:
                self._job.check()
                step.status(f"failed to fetch {kept.layer.blob.digest} of the cache: {error}", done=True)
                return None
        return kept.step

    def _read_image(self, store: CacheStore) -> None:
        """Take what an image that is here tells of; one that is not here, or tells nothing, is passed over."""
        engine = self._job.engine
        try:
            image = engine.images.get(reference_of(store).familiar)
            engine.images.keep(image, self._lease)
            manifest = engine.content.read(engine.images.manifest(image).digest, _LARGEST_CONFIG)
            self._images.append(image)
            steps = _steps_of(manifest, lambda blob: engine.content.read(blob.digest, _LARGEST_CONFIG))
        except (CorruptContent, NotFound):
            return
        for key, kept in steps.items():
            self._steps.setdefault(key, (kept, lambda _: None))

    def _read(self, store: CacheStore, step: Step) -> None:
        if store.type == "registry":
            reference = reference_of(store)
            credentials = self._options.credentials.get(reference.domain)
            common: dict[str, Any] = {"reference": reference.familiar, "credentials": credentials}
            manifest = self._job.child("artifact_manifest", **common).run()

            def fetch(blob: Descriptor) -> None:
                self._job.child("artifact_blob", blob=blob, lease=self._lease, **common).run()

            def read_config(blob: Descriptor) -> bytes:
                fetch(blob)
                return self._job.engine.content.read(blob.digest, _LARGEST_CONFIG)

        else:
            context = self._contexts.directory(store.attributes["stream"], step)
            digest, tag = store.attributes.get("digest", ""), store.attributes.get("tag", "")
            manifest = find_manifest(context.root, tag=tag, digest=digest)
            content = self._job.engine.content

            def fetch(blob: Descriptor) -> None:
                copy_blob(context.root, blob, content, self._lease, self._job.check)

            def read_config(blob: Descriptor) -> bytes:
                return read_blob(context.root, blob.digest)

        for key, kept in _steps_of(manifest, read_config).items():
            self._steps.setdefault(key, (kept, fetch))


def _steps_of(content: bytes, read_config: Callable[[Descriptor], bytes]) -> dict[str, KeptStep]:
    """Return the steps that a manifest tells of, by key, which is of a cache or of an image."""
    try:
        manifest: dict[str, Any] = orjson.loads(content)
        config = read_descriptor(manifest["config"])
    except (ValueError, KeyError, TypeError, InvalidParameter) as error:
        raise CorruptContent(f"the manifest of the cache cannot be read: {error}") from error
    if config.size > _LARGEST_CONFIG:
        raise CorruptContent(f"the configuration of the cache has {config.size} bytes, which is too many")
    read = read_cache if config.media_type == CONFIG_TYPE else read_annotation
    return read(manifest, read_config(config))
