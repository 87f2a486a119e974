"""The layers of one image: downloaded in parallel, and unpacked while the others still come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from transom.crew import Crew, Task
from transom.errors import CorruptContent
from transom.graph.content import Descriptor
from transom.graph.digest import Digest, chain_ids
from transom.graph.lease import Lease
from transom.job import Job
from transom_images.download import Downloader
from transom_images.progress import LayerProgress

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["DOWNLOAD", "UNPACK", "Layers"]

#: The crew's lanes.
DOWNLOAD = "download"
UNPACK = "unpack"


@dataclass(frozen=True)
class Layers:
    """Brings layers into the content store and the graph driver `driver`, held by `lease`."""

    engine: Engine
    job: Job
    downloader: Downloader
    crew: Crew
    driver: str
    lease: Lease

    def fetch(self, blobs: Sequence[Descriptor], diff_ids: tuple[Digest, ...], *, known: bool) -> list[int]:
        """Return when each layer is unpacked, with the bytes of each one's files.

        What is there already is neither downloaded nor unpacked again, and a blob that several of the
        layers have in common is downloaded once. Of the layers of an image that is `known` only those are
        spoken of that are missing. Raises what `Downloader.download` and `LayerStore.unpack` raise.
        """
        sizes = [0] * len(blobs)
        chain = chain_ids(diff_ids)
        voices = {blob.digest: LayerProgress(self.job, blob.digest) for blob in blobs}
        downloads = {blob.digest: self._plan_download(blob, voices[blob.digest]) for blob in _distinct(blobs)}
        self._announce(blobs, chain, voices, known)
        independent = self.engine.layers.driver(self.driver).capabilities.independent_layers
        below: tuple[Task, ...] = ()
        for index, blob in enumerate(blobs):
            unpack = partial(self._unpack, blob, diff_ids, index, sizes, voices[blob.digest])
            task = self.crew.add(unpack, UNPACK, (*downloads[blob.digest], *below))
            if not independent:
                below = (task,)
        self.crew.run()
        return sizes

    def _plan_download(self, blob: Descriptor, voice: LayerProgress) -> tuple[Task, ...]:
        """Return the download of a blob as what its unpacking needs: nothing, if the blob is there."""
        self.lease.keep_blob(blob)
        if self.engine.content.has(blob.digest):
            return ()
        return (self.crew.add(partial(self._download, blob, voice), DOWNLOAD),)

    def _announce(
        self,
        blobs: Sequence[Descriptor],
        chain: tuple[Digest, ...],
        voices: dict[Digest, LayerProgress],
        known: bool,
    ) -> None:
        """Say which layers there are, in their order, which is the order in which clients draw bars."""
        missing = 0
        for blob, chain_id in zip(blobs, chain, strict=True):
            here = self.engine.content.has(blob.digest)
            if here and self.engine.layers.has(self.driver, chain_id):
                if not known:
                    voices[blob.digest].say("Already exists")
                continue
            voices[blob.digest].say("Pulling fs layer")
            if not here:
                missing += 1
                if missing > self.engine.config.max_concurrent_downloads:
                    voices[blob.digest].say("Waiting")

    def _download(self, blob: Descriptor, voice: LayerProgress) -> None:
        self.downloader.download(blob, voice)
        voice.say("Download complete")

    def _unpack(
        self,
        blob: Descriptor,
        diff_ids: tuple[Digest, ...],
        index: int,
        sizes: list[int],
        voice: LayerProgress,
    ) -> None:
        layers = self.engine.layers
        there = layers.has(self.driver, chain_ids(diff_ids[: index + 1])[-1])

        def report(current: int) -> None:
            self.crew.check()
            voice.count("Extracting", current, blob.size)

        try:
            sizes[index] = layers.unpack(self.driver, diff_ids, index, blob.digest, self.lease, report)
        except CorruptContent:
            # The blob was verified when it came: if it is another one now, something has damaged it on the disk.
            if not self.engine.content.drop_damaged(blob.digest, self.crew.check):
                raise
            self._download(blob, voice)
            sizes[index] = layers.unpack(self.driver, diff_ids, index, blob.digest, self.lease, report)
        if not there:
            voice.say("Pull complete")


def _distinct(blobs: Sequence[Descriptor]) -> list[Descriptor]:
    return list({blob.digest: blob for blob in blobs}.values())
