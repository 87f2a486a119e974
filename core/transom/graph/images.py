"""The image store: images, and the tags and digests that name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from transom.graph.content import ContentStore, Descriptor
from transom.graph.db import GraphDB
from transom.graph.digest import Digest
from transom.graph.layers import LayerStore
from transom.graph.lease import Lease
from transom.graph.model import Image
from transom.graph.reference import Reference

__all__ = ["HistoryEntry", "ImageDetails", "ImageStore", "ImageSummary", "Removed"]


@dataclass(frozen=True)
class ImageSummary:
    """An image in a list. `created` is in seconds since the epoch; `containers` is how many use it.

    `tags` and `digests` are references in their familiar form: "busybox:latest", "busybox@sha256:…".
    """

    id: Digest
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    created: int
    size: int
    containers: int
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageDetails:
    """All about one image. `last_tagged` is in nanoseconds since the epoch, 0 for never.

    `layer` is the name of its topmost layer, empty if it has none, and `graphdriver` the driver that is the default.
    """

    image: Image
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    last_tagged: int
    graphdriver: str
    layer: str


@dataclass(frozen=True)
class HistoryEntry:
    """One step in the making of an image, as `docker history` shows it; `id` is "<missing>" below the topmost."""

    id: str
    created: int
    created_by: str
    comment: str
    size: int
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Removed:
    """What the removal of an image did, one step: exactly one of the two is not empty.

    `untagged` is a reference in its familiar form, `deleted` an image ID or a chain ID. `image` is the ID of
    the image that it was about.
    """

    image: Digest
    untagged: str = ""
    deleted: str = ""


class ImageStore:
    """All images. Everything here is safe to call from many threads."""

    def __init__(self, db: GraphDB, content: ContentStore, layers: LayerStore) -> None: ...

    @contextmanager
    def lease(self, name: str) -> Iterator[Lease]:
        """Open the lease of a name in a `with` block; two jobs may have the same one open.

        A job that fails and one that tries again use the same name ("pull docker.io/library/busybox:latest").
        If the block is left by an exception the lease stays for a week, otherwise it goes, and what it alone has kept
        is collected the next time.
        """
        ...

    def publish(
        self,
        config: bytes,
        manifest: Descriptor,
        manifest_content: bytes,
        blobs: Sequence[Descriptor],
        sizes: Sequence[int],
        *,
        driver: str,
        lease: Lease,
        reference: Reference | None = None,
        digest: Digest | None = None,
    ) -> Image:
        """Make an image of what was downloaded and unpacked; when this returns, it survives a power cut.

        `blobs` are the layers' blobs and `sizes` what `LayerStore.unpack` returned for each, lowest first, all of them
        unpacked for `driver`. `manifest` describes `manifest_content`. `reference` is what was asked for: one with a
        digest gets that digest as a name, one with a tag gets the tag, and with `digest` (of what the tag stood for: the
        manifest, or the index around it) also `name@digest`. A tag that named another image is taken from it.

        Raises `CorruptContent` if the configuration is no image configuration or has another number of layers.
        """
        ...

    def get(self, name: str) -> Image:
        """Return the image of a reference, an ID, or the beginning of an ID.

        Raises `NotFound` ("No such image: …"), and `InvalidParameter` for what is no reference or begins several IDs.
        """
        ...

    def list(self) -> tuple[Image, ...]:
        """Return all images, the last created first."""
        ...

    def tags(self, image: Image) -> tuple[Reference, ...]:
        """Return the tags that name an image, sorted."""
        ...

    def digests(self, image: Image) -> tuple[Reference, ...]:
        """Return the digest references that name an image, sorted."""
        ...

    def last_tagged(self, image: Image) -> int:
        """Return when the image got its newest tag, in nanoseconds since the epoch, 0 for never."""
        ...

    def containers(self, image: Image) -> int:
        """Return how many containers use an image."""
        ...

    def tag(self, image: Image, reference: Reference) -> None:
        """Let a reference name an image, whatever it named before. Raises `InvalidParameter` for one with a digest."""

    def remove(self, name: str, *, force: bool = False) -> tuple[Removed, ...]:
        """Remove a name of an image, and the image itself with its last one, by the rules of `docker rmi`.

        Raises `NotFound`, and `Conflict` if containers use it, or several repositories name it.
        """
        ...

    def collect_garbage(self) -> None:
        """Delete blobs and layers that no image, container or lease refers to, and leases whose time is over."""
