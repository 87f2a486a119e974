"""The job `push`: an image, byte for byte as it was pulled or made, to a registry.

Layers go first, several at the same time, then the configuration, and the manifest last: what nobody can name yet is
whole when it gets its name. What the registry has is not sent again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from transom.crew import Crew
from transom.errors import CorruptContent, InvalidParameter, NotFound
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.lease import Lease
from transom.graph.model import Image
from transom.graph.platforms import compatible, normalize, parse_platform
from transom.graph.reference import Reference
from transom.job import Job
from transom.registry import Credentials
from transom_images.connections import Patience
from transom_images.destination import SILENCE, Destination
from transom_images.manifests import LIMIT, Index, Manifest, elsewhere, parse_manifest
from transom_images.packing import PACK, packed
from transom_images.progress import LayerProgress, Progress, Silence
from transom_images.upload import Uploader, other_repositories

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["push"]

#: A lane of the crew.
_UPLOAD = "upload"


def push(
    engine: Engine,
    job: Job,
    *,
    reference: str,
    tag: str = "",
    platform: str = "",
    credentials: Credentials | None = None,
    compress: bool = True,
) -> tuple[Digest, ...]:
    """Push an image, or all tags of a repository, and return the digests of the manifests.

    `tag` takes the place of the reference's own; where neither has one, all tags are pushed. `platform` is like
    "linux/arm64", and refuses an image for another one. Layers that were never compressed are, unless `compress` is
    False.

    Raises `InvalidParameter` for a bad reference or platform, `NotFound` for an image that is not there or not for the
    platform, `Unauthorized`, `Forbidden` and `RegistryError` as the registry says, `CorruptContent`, `Cancelled`.
    """
    wanted = Reference.parse(reference)
    if tag:
        wanted = replace(wanted, digest=None).with_tag(tag)
    if platform:
        _check_platform(engine, wanted, platform)
    job.progress(f"The push refers to repository [{wanted.name}]")
    images = _find(engine, wanted)
    crew = Crew(job, {PACK: os.cpu_count() or 1, _UPLOAD: engine.config.max_concurrent_uploads})
    with closing(Destination(wanted, engine.config, credentials, Patience(crew.check, silence=SILENCE))) as destination:
        pushing = _Push(
            engine,
            job,
            destination,
            Uploader(destination, engine.content, engine.config, crew.check),
            crew,
            compress,
        )
        digests = tuple(pushing.push(item, image) for item, image in images.items())
    engine.events.record("image", "push", wanted.familiar, {"name": wanted.familiar_name})
    return digests


def _check_platform(engine: Engine, wanted: Reference, platform: str) -> None:
    chosen = parse_platform(platform)
    image = engine.images.get(str(wanted.tagged()))
    if normalize(image.platform) not in compatible(chosen):
        raise NotFound(
            f"image with reference {wanted.tagged().familiar} was found but does not provide the specified platform"
            f" ({chosen})"
        )


def _find(engine: Engine, wanted: Reference) -> Mapping[Reference, Image]:
    """Return the images to push, by the tagged references that name them."""
    if wanted.digest is not None:
        raise InvalidParameter("cannot push a digest reference")
    known = engine.images.tagged(wanted.name)
    if not known:
        raise NotFound(f"An image does not exist locally with the tag: {wanted.familiar_name}")
    if wanted.tag is None:
        return known
    if wanted not in known:
        raise NotFound(f"tag does not exist: {wanted.familiar}")
    return {wanted: known[wanted]}


@dataclass(frozen=True)
class _Push:
    """What the pushes of several tags of one repository share."""

    engine: Engine
    job: Job
    destination: Destination
    uploader: Uploader
    crew: Crew
    compress: bool

    def push(self, reference: Reference, image: Image) -> Digest:
        """Push one image as one tag, and say so."""
        assert reference.tag is not None
        images = self.engine.images
        with images.lease(f"push {reference} {self.job.number}", resumable=False) as lease:
            if self.compress:
                image = packed(self.engine, self.crew, image, lease)
            manifest, content, parsed = self._manifest(image, lease)
            self._upload(reference, image, parsed, content)
            self.destination.put_manifest(reference.tag, manifest, content)
        # The image may have been removed meanwhile: it was pushed all the same.
        with suppress(NotFound):
            images.pushed(image, reference.without_tag().with_digest(manifest.digest))
        self.job.progress(f"{reference.tag}: digest: {manifest.digest} size: {manifest.size}")
        self.job.tell(Tag=reference.tag, Digest=manifest.digest, Size=manifest.size)
        return manifest.digest

    def _manifest(self, image: Image, lease: Lease) -> tuple[Descriptor, bytes, Manifest]:
        """Return an image's manifest, and keep what it names for as long as the lease is open."""
        if image.manifest is None:
            raise CorruptContent(f"the image {image.id} has no manifest: remove it, and pull it again")
        content = self.engine.content.read(image.manifest, LIMIT)
        parsed = parse_manifest(content, self.engine.images.descriptor(image.manifest).media_type)
        if isinstance(parsed, Index):
            raise CorruptContent(f"the manifest {image.manifest} is an index: remove its image, and pull it again")
        manifest = Descriptor(parsed.media_type, image.manifest, len(content))
        for blob in (manifest, parsed.config, *parsed.layers):
            lease.keep_blob(blob)
        return manifest, content, parsed

    def _upload(self, reference: Reference, image: Image, manifest: Manifest, content: bytes) -> None:
        """Bring the blobs of an image to the registry; layers are spoken of by their diff IDs, the topmost first."""
        skipped = elsewhere(content)
        voices: dict[Descriptor, Progress] = {}
        for blob, diff_id in zip(reversed(manifest.layers), reversed(image.diff_ids), strict=True):
            if blob not in voices:
                voices[blob] = LayerProgress(self.job, diff_id)
                voices[blob].say("Preparing")
        for number, (blob, voice) in enumerate(voices.items()):
            if blob.digest in skipped:
                voice.say("Skipped foreign layer")
                continue
            if number >= self.engine.config.max_concurrent_uploads:
                voice.say("Waiting")
            self.crew.add(partial(self._upload_one, reference, blob, voice), _UPLOAD)
        self.crew.run()
        self._upload_one(reference, manifest.config, Silence())

    def _upload_one(self, reference: Reference, blob: Descriptor, voice: Progress) -> None:
        # Another push of the blob to the repository is waited for: then the repository has it.
        with self.engine.transfers.hold((reference.name, blob.digest), self.crew.check):
            self.uploader.upload(blob, other_repositories(self.engine.images, reference, blob), voice)
