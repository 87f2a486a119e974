"""The job `pull`: from a reference to an image that can run.

Reference, manifest (through an index and the choice of a platform), configuration, layers. Layers are
downloaded in parallel, and each is unpacked into the default graph driver as soon as it is there. At the
end the image is published in one transaction. Whatever happens before, what has arrived stays for the next
try and nothing half made is listed.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from transom.crew import Crew
from transom.errors import CorruptContent, InvalidParameter, NotFound, RegistryError, Unsupported
from transom.graph.digest import Digest
from transom.graph.image_config import parse_config
from transom.graph.lease import Lease
from transom.graph.model import Image, Platform
from transom.graph.platforms import compatible, normalize, parse_platform
from transom.graph.reference import Reference
from transom.job import Job
from transom.registry import Credentials
from transom_images.connections import Patience
from transom_images.download import Downloader
from transom_images.layers import DOWNLOAD, UNPACK, Layers
from transom_images.manifests import LIMIT, FirstSchema, Index, Manifest, choose, parse_manifest
from transom_images.progress import Silence
from transom_images.registry import Fetched, Registry

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["pull", "pull_repository"]

#: How many indexes may stand between a reference and a manifest.
_MOST_INDEXES = 4


def pull(
    engine: Engine,
    job: Job,
    *,
    reference: str,
    tag: str = "",
    platform: str = "",
    credentials: Credentials | None = None,
    all_tags: bool = False,
) -> Digest:
    """Pull an image and return the digest of what the reference stood for (a manifest or an index).

    `tag` is a tag or digest that takes the place of the reference's own. `platform` is like "linux/arm64";
    without it that of this machine is chosen. With `all_tags` every tag of the repository is pulled, and
    the last digest returned.

    Raises `InvalidParameter` for a bad reference or platform, `NotFound` and `Unauthorized` as the registry
    says, `RegistryError` if it cannot be asked, `CorruptContent`, `Unsupported`, `StorageFull`,
    `Cancelled`.
    """
    wanted = _parse_reference(reference, tag)
    if all_tags:
        if wanted.tag or wanted.digest:
            raise InvalidParameter(f"tag can't be used with all tags: give {wanted.familiar_name} alone")
    else:
        wanted = wanted.tagged()
    chosen = parse_platform(platform) if platform else None
    return pull_repository(engine, job, wanted, chosen, credentials)


def pull_repository(
    engine: Engine, job: Job, wanted: Reference, platform: Platform | None, credentials: Credentials | None
) -> Digest:
    """Pull what a reference names; all tags if it names only a repository. Returns and raises as `pull`."""
    crew = Crew(job, {DOWNLOAD: engine.config.max_concurrent_downloads, UNPACK: os.cpu_count() or 1})
    with closing(Registry(wanted, engine.config, credentials, Patience(crew.check))) as registry:
        downloader = Downloader(registry, engine.content, engine.config.max_download_attempts, crew.check)
        pulling = _Pull(engine, job, registry, downloader, crew, engine.graphdriver(), platform)
        references = [wanted] if wanted.tag or wanted.digest else [wanted.with_tag(tag) for tag in registry.tags()]
        if not references:
            raise NotFound(f"repository {wanted.familiar_name} not found: it has no tags")
        pulled = [pulling.pull(reference) for reference in references]
    engine.events.record("image", "pull", wanted.familiar, {"name": wanted.familiar_name})
    name = wanted.without_tag() if wanted.digest else wanted
    if any(changed for _, changed in pulled):
        job.progress(f"Status: Downloaded newer image for {name.familiar}")
    else:
        job.progress(f"Status: Image is up to date for {name.familiar}")
    return pulled[-1][0]


@dataclass(frozen=True)
class _Pull:
    """What the steps of pulling an image share."""

    engine: Engine
    job: Job
    registry: Registry
    downloader: Downloader
    crew: Crew
    driver: str
    platform: Platform | None

    def pull(self, reference: Reference) -> tuple[Digest, bool]:
        """Pull one image, and return its digest and whether the reference names another image now."""
        job, images = self.job, self.engine.images
        name = reference.without_tag() if reference.digest else reference
        before = self._id_of(str(name))
        try:
            top = self.registry.manifest(reference)
            # Only now, as Docker does: an image that is not there has the status of its error.
            job.progress(f"Pulling from {reference.path}", reference.digest or reference.tag or "")
            with images.lease(f"pull {reference}") as lease:
                after = self._pull_image(reference, top, lease)
        except FirstSchema as error:
            raise FirstSchema(str(reference)) from error
        except (CorruptContent, RegistryError, Unsupported) as error:
            raise type(error)(f"cannot pull {reference.familiar}: {error}") from error
        digest = top.descriptor.digest
        job.progress(f"Digest: {digest}")
        return digest, before != after

    def _id_of(self, name: str) -> Digest | None:
        """Return the ID of the image that a reference or ID names now, or None if there is none."""
        try:
            return self.engine.images.get(name).id
        except NotFound:
            return None

    def _pull_image(self, reference: Reference, top: Fetched, lease: Lease) -> Digest:
        """Fetch, unpack and publish the image of a manifest or index, and return its ID."""
        fetched, manifest = self._resolve(reference, top)
        config, content = self._configuration(manifest, lease)
        self._check_platform(reference, config)
        layers = Layers(self.engine, self.job, self.downloader, self.crew, self.driver, lease)
        sizes = layers.fetch(manifest.layers, config.diff_ids, known=self._id_of(manifest.config.digest) is not None)
        image = self.engine.images.publish(
            content,
            fetched.descriptor,
            fetched.content,
            manifest.layers,
            sizes,
            driver=self.driver,
            lease=lease,
            reference=reference,
            digest=top.descriptor.digest,
        )
        return image.id

    def _resolve(self, reference: Reference, top: Fetched) -> tuple[Fetched, Manifest]:
        """Follow indexes to the manifest for the platform."""
        fetched = top
        for _ in range(_MOST_INDEXES):
            parsed = parse_manifest(fetched.content, fetched.descriptor.media_type)
            if not isinstance(parsed, Index):
                return Fetched(replace(fetched.descriptor, media_type=parsed.media_type), fetched.content), parsed
            chosen = choose(parsed, self.platform or Platform.here())
            fetched = self.registry.manifest(reference, chosen)
        raise CorruptContent(f"its index leads to more than {_MOST_INDEXES} other indexes")

    def _configuration(self, manifest: Manifest, lease: Lease) -> tuple[Image, bytes]:
        """Fetch the image's configuration."""
        blob = manifest.config
        if blob.size > LIMIT:
            raise CorruptContent(f"its configuration has {blob.size} bytes, which is more than the {LIMIT} allowed")
        lease.keep_blob(blob)
        self.engine.content.drop_damaged(blob.digest, self.crew.check)
        self.downloader.download(blob, Silence())
        content = self.engine.content.read(blob.digest, LIMIT)
        config = parse_config(content)
        if len(config.diff_ids) != len(manifest.layers):
            raise CorruptContent(
                f"its configuration has {len(config.diff_ids)} layers and its manifest {len(manifest.layers)}"
            )
        return config, content

    def _check_platform(self, reference: Reference, config: Image) -> None:
        """Refuse an image for another system, and for another processor if a platform was asked for."""
        wanted, found = self.platform or Platform.here(), normalize(config.platform)
        if found.os != wanted.os or (self.platform and found not in compatible(wanted)):
            raise NotFound(
                f"image with reference {reference.familiar} was found but its platform ({found}) does not"
                f" match the specified platform ({normalize(wanted)})"
            )


def _parse_reference(reference: str, tag: str) -> Reference:
    """Return what a client asked for; `tag` is a tag or digest apart from the reference, or empty."""
    parsed = Reference.parse(reference)
    if not tag:
        return parsed
    bare = replace(parsed, tag=None, digest=None)
    return bare.with_digest(Digest.parse(tag)) if ":" in tag else bare.with_tag(tag)
