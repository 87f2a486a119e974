"""Downloading one blob into the content store, whatever the registry and the network do meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable

from transom.errors import CorruptContent
from transom.graph.content import ContentStore, Descriptor, Ingest
from transom_images.progress import Progress
from transom_images.registry import Registry
from transom_images.retries import Retries, announcement
from transom_images.transport import Answer, Interrupted

__all__ = ["Downloader"]

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19}|\*)\Z")


class Downloader:
    """Downloads the blobs of one repository.

    `attempts` is how often a download may fail in a row without getting any further. `check` is called
    often and may raise; what has arrived by then stays, and the next download of the blob goes on behind
    it.
    """

    def __init__(self, registry: Registry, content: ContentStore, attempts: int, check: Callable[[], None]) -> None:
        self._registry = registry
        self._content = content
        self._attempts = attempts
        self._check = check

    def download(self, blob: Descriptor, progress: Progress) -> None:
        """Return when the content store has the blob, verified.

        Raises `CorruptContent` if the registry has something else under the digest, `RegistryError` if it
        does not give the blob, `NotFound`, `Unauthorized`, `StorageFull`.
        """
        with self._content.ingest(blob.digest, blob.size, self._check) as ingest:
            while not ingest.present:
                # What an earlier try has left may be what is corrupt, and so may be what a mirror gave.
                doubtful = ingest.offset > 0
                try:
                    doubtful |= self._fill(ingest, blob, progress)
                    progress.say("Verifying Checksum")
                    ingest.commit()
                except CorruptContent as error:
                    if not (self._registry.distrust(blob.digest) or doubtful):
                        raise CorruptContent(
                            f"filesystem layer verification failed for digest {blob.digest}: {error}"
                        ) from error

    def _fill(self, ingest: Ingest, blob: Descriptor, progress: Progress) -> bool:
        """Fetch what is missing, and return whether a part of it is of a mirror that was given up."""
        given_up = False
        retries = Retries(self._attempts, self._check, lambda left: progress.say(announcement(left)))
        # A server that sends the same first half over and over makes no progress.
        furthest = ingest.offset
        while ingest.offset < blob.size:
            try:
                self._receive(ingest, blob, progress)
            except Interrupted as error:
                if ingest.offset > furthest:
                    retries.progressed()
                furthest = max(furthest, ingest.offset)
                if self._registry.distrust(blob.digest):
                    given_up = True
                    continue
                retries.wait(error)
        return given_up

    def _receive(self, ingest: Ingest, blob: Descriptor, progress: Progress) -> None:
        """Ask once for what is missing, and write what comes. Raises `Interrupted` if that is not all."""
        with self._registry.blob(blob.digest, ingest.offset) as answer:
            if ingest.offset and not _continues(answer, ingest.offset, blob.size):
                ingest.reset()
                if answer.status != 200:
                    raise Interrupted(f"{answer.host} does not continue the download of {blob.digest}")
            while data := answer.read_some():
                ingest.write(data)
                progress.count("Downloading", ingest.offset, blob.size)
            if ingest.offset < blob.size:
                raise Interrupted(
                    f"{answer.host} sent {ingest.offset} of {blob.size} bytes of {blob.digest} and no more"
                )


def _continues(answer: Answer, offset: int, size: int) -> bool:
    """Whether an answer to a range request has the bytes from `offset` on of a blob of that size."""
    match = _CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
    return answer.status == 206 and match is not None and int(match[1]) == offset and match[2] in ("*", str(size))
