"""The jobs `image_load` and `layout_load`: images from an archive that `docker save` or another tool has made."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, cast

from transom.crew import Crew, Task
from transom.errors import CorruptContent, InvalidParameter, NotFound
from transom.graph.compression import decompress
from transom.graph.digest import Digest, chain_ids
from transom.graph.lease import Lease
from transom.graph.model import Image, Platform
from transom.graph.verify import CountingReader, VerifyingReader
from transom.job import Job
from transom_images.layers import UNPACK
from transom_images.members import Members
from transom_images.offers import Offer, choose_offer, find_offers
from transom_images.progress import LayerProgress

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["image_load", "layout_load"]


def image_load(engine: Engine, job: Job, *, platform: Platform | None = None) -> None:
    """Load the images of the archive that is the job's input: OCI layouts and Docker's own format, also compressed.

    All of an archive is read and verified before the first image is there. `platform` chooses from images for
    several platforms. Raises `InvalidParameter` for what is no such archive or is damaged, `NotFound` if there is
    none for the platform, `Unsupported`, `StorageFull`; then nothing has changed.
    """
    with engine.images.lease(f"load {secrets.token_hex(8)}", resumable=False) as lease, ExitStack() as drafts:
        loading = _Loading(engine, job, lease, engine.graphdriver())
        offers, sizes = loading.read(drafts, lambda members: find_offers(members, platform))
        for offer in offers:
            loading.publish(offer, sizes.get(offer.image.id))


def layout_load(engine: Engine, job: Job, *, chosen: str, lease: Lease, platform: Platform) -> Image:
    """Return one image of the OCI layout that is the job's input, an archive, without making it an image of the engine.

    Its blobs and layers are kept by the lease. It is that of a tag or a digest, or if `chosen` is empty `latest` or the
    only one. Raises as `image_load`, and `NotFound` if it is not there.
    """
    with ExitStack() as drafts:
        loading = _Loading(engine, job, lease, engine.graphdriver())
        [offer], sizes = loading.read(drafts, lambda members: [choose_offer(members, platform, chosen)])
    if offer.image.id not in sizes:
        image = engine.images.get(offer.image.id)
        engine.images.keep(image, lease)
        return image
    blobs = tuple(descriptor.digest for _, descriptor in offer.layers)
    return replace(offer.image, blobs=blobs, sizes=tuple(sizes[offer.image.id]))


@dataclass(frozen=True)
class _Loading:
    """What the steps of loading images share."""

    engine: Engine
    job: Job
    lease: Lease
    driver: str

    def read(
        self, drafts: ExitStack, find: Callable[[Members], list[Offer]]
    ) -> tuple[list[Offer], dict[Digest, list[int]]]:
        """Read the archive that is the job's input, and `prepare` what is found in it. Raises as `image_load`."""
        if self.job.input is None:
            raise InvalidParameter("there is nothing to load: send an archive of images")
        members = Members(self.engine.content, self.lease, drafts, self.job.check)
        try:
            members.read(decompress(cast("io.RawIOBase", self.job.input)))
            offers = find(members)
            return offers, self.prepare(offers)
        except CorruptContent as error:
            raise InvalidParameter(f"cannot load the archive: {error}") from error

    def prepare(self, offers: list[Offer]) -> dict[Digest, list[int]]:
        """Store and unpack the layers of the images that are not here, and return each one's layers' sizes."""
        crew = Crew(self.job, {UNPACK: os.cpu_count() or 1})
        sizes: dict[Digest, list[int]] = {}
        independent = self.engine.layers.driver(self.driver).capabilities.independent_layers
        stored: set[Digest] = set()
        for offer in offers:
            if self._is_here(offer):
                continue
            found = sizes[offer.image.id] = [0] * len(offer.layers)
            below: tuple[Task, ...] = ()
            for index, (member, descriptor) in enumerate(offer.layers):
                self.lease.keep_blob(descriptor)
                if member.draft is not None and member.digest not in stored:
                    member.draft.commit()
                    stored.add(member.digest)
                task = crew.add(partial(self._unpack, crew, offer, index, found), UNPACK, below)
                below = () if independent else (task,)
        crew.run()
        return sizes

    def _is_here(self, offer: Offer) -> bool:
        try:
            return self.engine.images.get(offer.image.id).id == offer.image.id
        except NotFound:
            return False

    def _unpack(self, crew: Crew, offer: Offer, index: int, sizes: list[int]) -> None:
        """Unpack one layer; where that was done before, see that the blob is really of this layer."""
        diff_ids, descriptor = offer.image.diff_ids, offer.layers[index][1]
        voice = LayerProgress(self.job, diff_ids[index])

        def report(current: int) -> None:
            crew.check()
            voice.count("Loading layer", current, descriptor.size)

        there = self.engine.layers.has(self.driver, chain_ids(diff_ids[: index + 1])[-1])
        if there and descriptor.digest != diff_ids[index]:
            with self.engine.content.open(descriptor.digest) as blob:
                VerifyingReader(decompress(CountingReader(blob, lambda _: crew.check())), diff_ids[index]).verify()
        sizes[index] = self.engine.layers.unpack(self.driver, diff_ids, index, descriptor.digest, self.lease, report)

    def publish(self, offer: Offer, sizes: list[int] | None) -> None:
        """Make an image visible with its names, and say so. One that is here already only gets the names."""
        images, job, image = self.engine.images, self.job, offer.image
        named_before = {name: images.named(name) for name in offer.names}
        if sizes is None:
            image = images.get(image.id)
            for name in offer.names:
                images.tag(image, name)
        else:
            image = images.publish(
                offer.config,
                offer.manifest,
                offer.manifest_content,
                [descriptor for _, descriptor in offer.layers],
                sizes,
                driver=self.driver,
                lease=self.lease,
                tags=offer.names,
            )
        for name, before in named_before.items():
            if before is not None and before.id != image.id:
                job.say(
                    f"The image {name.familiar} already exists, renaming the old one with ID {before.id} to empty"
                    " string\n"
                )
            job.say(f"Loaded image: {name.familiar}\n")
        if not offer.names:
            job.say(f"Loaded image ID: {image.id}\n")
        self.engine.events.record("image", "load", image.id, {**image.config.labels, "name": image.id})
