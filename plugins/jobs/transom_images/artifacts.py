"""The jobs about what is in a registry and is no image, such as what is kept of builds: a manifest and its blobs.

OCI image specification, manifest.md, "Guidelines for Artifact Usage".
"""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import orjson

from transom.crew import Crew
from transom.errors import CorruptContent
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.lease import Lease
from transom.graph.model import Platform
from transom.graph.reference import Reference
from transom.job import Job
from transom.registry import Credentials
from transom_images.connections import Patience
from transom_images.destination import SILENCE, Destination
from transom_images.download import Downloader
from transom_images.manifests import Index, choose, parse_manifest
from transom_images.progress import LayerProgress, Progress
from transom_images.registry import Registry
from transom_images.upload import Uploader, other_repositories

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["artifact_blob", "artifact_manifest", "artifact_push"]

_UPLOAD = "upload"


def artifact_manifest(engine: Engine, job: Job, *, reference: str, credentials: Credentials | None = None) -> bytes:
    """Return the manifest that a reference names, of an image for this machine where that is an index.

    Raises `InvalidParameter` for a bad reference, `NotFound`, `Unauthorized` and `RegistryError` as the registry says.
    """
    wanted = Reference.parse(reference).tagged()
    with closing(Registry(wanted, engine.config, credentials, Patience(job.check))) as registry:
        fetched = registry.manifest(wanted)
        if not _is_index(fetched.content):
            return fetched.content
        index = parse_manifest(fetched.content, fetched.descriptor.media_type)
        assert isinstance(index, Index)
        return registry.manifest(wanted, choose(index, Platform.here())).content


def _is_index(content: bytes) -> bool:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise CorruptContent(f"the manifest is not JSON: {error}") from error
    return isinstance(document, dict) and "manifests" in document


def artifact_blob(
    engine: Engine,
    job: Job,
    *,
    reference: str,
    blob: Descriptor,
    lease: Lease,
    credentials: Credentials | None = None,
) -> None:
    """Bring a blob of a repository into the content store, where the lease keeps it.

    Raises `CorruptContent`, `StorageFull`, and `NotFound`, `Unauthorized` and `RegistryError` as the registry says.
    """
    wanted = Reference.parse(reference)
    engine.content.drop_damaged(blob.digest, job.check)
    if lease.keep_if_known(blob.digest) and engine.content.has(blob.digest):
        # What a stranger says of its size and type changes nothing.
        return
    lease.keep_blob(blob)
    with closing(Registry(wanted, engine.config, credentials, Patience(job.check))) as registry:
        downloader = Downloader(registry, engine.content, engine.config.max_download_attempts, job.check)
        downloader.download(blob, LayerProgress(job, blob.digest))


def artifact_push(
    engine: Engine,
    job: Job,
    *,
    reference: str,
    manifest: bytes,
    blobs: tuple[Descriptor, ...],
    credentials: Credentials | None = None,
) -> Digest:
    """Push blobs of the content store, and then the manifest that names them; return the manifest's digest.

    Somebody keeps the blobs meanwhile. Raises as `push`.
    """
    wanted = Reference.parse(reference).tagged()
    assert wanted.tag is not None
    crew = Crew(job, {_UPLOAD: engine.config.max_concurrent_uploads})
    described = Descriptor(str(orjson.loads(manifest)["mediaType"]), Digest.of(manifest), len(manifest))
    with closing(Destination(wanted, engine.config, credentials, Patience(crew.check, silence=SILENCE))) as destination:
        uploader = Uploader(destination, engine.content, engine.config, crew.check)
        for blob in dict.fromkeys(blobs):
            crew.add(partial(_upload, engine, crew, uploader, wanted, blob, LayerProgress(job, blob.digest)), _UPLOAD)
        crew.run()
        destination.put_manifest(wanted.tag, described, manifest)
    return described.digest


def _upload(
    engine: Engine, crew: Crew, uploader: Uploader, reference: Reference, blob: Descriptor, progress: Progress
) -> None:
    # Another push of the blob to the repository is waited for: then the repository has it.
    with engine.transfers.hold((reference.name, blob.digest), crew.check):
        uploader.upload(blob, other_repositories(engine.images, reference, blob), progress)
