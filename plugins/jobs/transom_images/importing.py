"""The job `image_import`: an image of one layer from an archive of a file system."""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from transom.dockerfile.changes import apply_changes
from transom.errors import CorruptContent, InvalidParameter
from transom.graph.compression import decompress
from transom.graph.digest import Digest
from transom.graph.model import History, Platform, RunConfig
from transom.graph.platforms import parse_platform
from transom.graph.reference import parse_name
from transom.job import Job
from transom.times import format_moment
from transom_images.remote import open_url, whole_url

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["image_import"]

_CHUNK = 1 << 20
_INPUT = "-"


def image_import(
    engine: Engine,
    job: Job,
    *,
    source: str = _INPUT,
    repository: str = "",
    tag: str = "",
    message: str = "",
    changes: tuple[str, ...] = (),
    platform: str = "",
) -> Digest:
    """Make an image of an archive, which may be compressed, and return its ID.

    `source` is "-" for the job's input, or a URL. `repository` and `tag` name the image; without a repository it
    has no name. `message` becomes its comment, `changes` are as in `apply_changes`, `platform` is like
    "linux/arm64", this machine's if it is empty. Raises `InvalidParameter`, also for an archive that is damaged,
    `NotFound` where nothing is at the URL, `StorageFull`; then nothing has changed.
    """
    reference = parse_name(repository, tag)
    config = apply_changes(RunConfig(), changes)
    wanted = _parse_platform(platform)
    if wanted.os != Platform.here().os:
        raise InvalidParameter(f"cannot import an image for {wanted.os}: only those for {Platform.here().os} run here")
    step = History(created=format_moment(time.time_ns()), comment=message or f"Imported from {source}")
    driver = engine.graphdriver()
    images = engine.images
    with images.lease(f"import {secrets.token_hex(8)}", resumable=False) as lease, ExitStack() as stack:
        stream = job.input if source == _INPUT else stack.enter_context(open_url(job, whole_url(source)))
        if stream is None:
            raise InvalidParameter("there is nothing to import: send an archive of a file system")
        try:
            archive = _uncompressed(job, cast("io.RawIOBase", stream))
            layer = images.add_layer(archive, None, driver=driver, lease=lease, progress=lambda _: job.check())
        except CorruptContent as error:
            raise InvalidParameter(f"cannot import the archive: {error}") from error
        image = images.create(
            config=config,
            step=step,
            comment=step.comment,
            platform=wanted,
            layer=layer,
            driver=driver,
            lease=lease,
            reference=reference,
        )
    if reference is not None:
        engine.events.record("image", "tag", image.id, {**image.config.labels, "name": reference.familiar})
    engine.events.record("image", "import", image.id, {**image.config.labels, "name": image.id})
    job.progress(image.id)
    return image.id


def _parse_platform(text: str) -> Platform:
    """Return the platform of the new image, without a variant that nobody named or that is the only one."""
    if not text:
        return Platform.here()
    platform = parse_platform(text)
    named = text.count("/") == 2 and platform.architecture != "arm64"
    return replace(platform, variant=platform.variant if named else "")


def _uncompressed(job: Job, stream: io.RawIOBase) -> Iterator[bytes]:
    archive = decompress(stream)
    while chunk := archive.read(_CHUNK):
        job.check()
        yield chunk
