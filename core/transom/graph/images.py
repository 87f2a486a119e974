"""The image store: images, and the tags and digests that name them."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from transom import records
from transom.errors import CorruptContent, InvalidParameter, NotFound, StorageFull
from transom.graph.content import ContentStore, Descriptor
from transom.graph.db import GraphDB, Node
from transom.graph.digest import Digest
from transom.graph.image_config import parse_config, unix_nanoseconds, write_config
from transom.graph.layers import LayerStore
from transom.graph.lease import Lease, end_old_leases
from transom.graph.making import CONFIG_TYPE, NewLayer, derive, describe, pack
from transom.graph.model import History, Image, Platform, RunConfig
from transom.graph.reference import Reference
from transom.graph.removal import Removal, Removed

__all__ = ["HistoryEntry", "ImageDetails", "ImageStore", "ImageSummary", "Removed"]

_ID: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_ID_START: Final = re.compile(r"(?:sha256:)?([0-9a-f]{1,63})")


@dataclass(frozen=True)
class ImageSummary:
    """An image in a list. `created` is in seconds since the epoch; `containers` is how many use it.

    `tags` and `digests` are references in their familiar form: "busybox:latest", "busybox@sha256:…". `parent` is
    the ID of the image that it was made from here, or empty. `shared_size` is the bytes of those of its layers
    that other images have too, None if that was not asked for.
    """

    id: Digest
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    created: int
    size: int
    containers: int
    labels: Mapping[str, str] = field(default_factory=dict)
    parent: str = ""
    shared_size: int | None = None


@dataclass(frozen=True)
class ImageDetails:
    """All about one image. `last_tagged` is in nanoseconds since the epoch, 0 for never.

    `layer` is the name of its topmost layer, empty if it has none, and `graphdriver` the driver that is the
    default. `parent` is the ID of the image that it was made from here, or empty.
    """

    image: Image
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    last_tagged: int
    graphdriver: str
    layer: str
    parent: str = ""


@dataclass(frozen=True)
class HistoryEntry:
    """One step in the making of an image, as in `docker history`; `id` is "<missing>" where no image of it is here."""

    id: str
    created: int
    created_by: str
    comment: str
    size: int
    tags: tuple[str, ...] = ()


class ImageStore:
    """All images. Everything here is safe to call from many threads."""

    def __init__(self, db: GraphDB, content: ContentStore, layers: LayerStore) -> None:
        self._db = db
        self._content = content
        self._layers = layers
        self._guard = threading.Lock()
        self._leases: Counter[str] = Counter()

    # Making

    @contextmanager
    def lease(self, name: str, *, resumable: bool = True) -> Iterator[Lease]:
        """Open the lease of a name in a `with` block; two jobs may have the same one open.

        A job that fails and one that tries again use the same name ("pull docker.io/library/busybox:latest").
        If the block is left by an exception a `resumable` lease stays for a week, otherwise it goes, and what it
        alone has kept is collected the next time. `StorageFull`, and any exception if it is not resumable, makes
        it go at once, with all that it alone has kept; so does the end of the engine.
        """
        with self._guard:
            self._leases[name] += 1
            lease = Lease(self._db, name, resumable=resumable)
        try:
            yield lease
        except BaseException as error:
            # There is no next try while the disk is full of what this one brought.
            keep = resumable and not isinstance(error, StorageFull)
            with self._db.freeing():
                if not keep:
                    for digest in lease.blobs():
                        self._content.discard(digest)
                self._close_lease(name, lease, keep=keep)
            if not keep:
                self.collect_garbage()
            raise
        self._close_lease(name, lease, keep=False)

    def _close_lease(self, name: str, lease: Lease, *, keep: bool) -> None:
        with self._guard:
            self._leases[name] -= 1
            if not self._leases[name]:
                del self._leases[name]
                if not keep:
                    lease.end()

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
        tags: Iterable[Reference] = (),
        parent: Image | None = None,
    ) -> Image:
        """Make an image of what was downloaded and unpacked; when this returns, it survives a power cut.

        `blobs` are the layers' blobs and `sizes` what `LayerStore.unpack` returned for each, lowest first,
        all of them unpacked for `driver`. `manifest` describes `manifest_content`. `reference` is what was
        asked for: one with a digest gets that digest as a name, one with a tag gets the tag, and with
        `digest` (of what the tag stood for: the manifest, or the index around it) also `name@digest`. `tags`
        are more names, as in `tag`. One that named another image is taken from it. `parent` is the image that
        it was made from here.

        Raises `CorruptContent` if the configuration is no image configuration or has another number of
        layers.
        """
        image = replace(
            parse_config(config),
            manifest=manifest.digest,
            blobs=tuple(blob.digest for blob in blobs),
            sizes=tuple(sizes),
        )
        if not len(image.diff_ids) == len(image.blobs) == len(image.sizes):
            raise CorruptContent(
                f"the image configuration {image.id} has {len(image.diff_ids)} layers, its manifest"
                f" {len(blobs)}: the image was made wrongly"
            )
        self._store(Descriptor(CONFIG_TYPE, image.id, len(config)), config, lease)
        self._store(manifest, manifest_content, lease)
        if blobs:
            self._layers.flush(driver)
        with self._db.transaction(durable=True):
            node = self._db.put("image", image.id, records.dump(image), root=True)
            self._db.link(node, "config", self._db.need("blob", image.id))
            self._db.link(node, "manifest", self._db.need("blob", manifest.digest))
            for position, layer in enumerate(self._layers.settle(driver, image)):
                self._db.link(node, "layer", layer, position)
            if parent is not None:
                self._db.link(node, "parent", self._db.need("image", parent.id))
            if reference is not None:
                self._name(node, reference, digest)
            for tag in tags:
                self._point("tag", tag.tagged(), node)
        return image

    def add_layer(
        self,
        archive: Iterable[bytes],
        parent: Image | None,
        *,
        driver: str,
        lease: Lease,
        progress: Callable[[int], None] = lambda _: None,
    ) -> NewLayer:
        """Make a layer of an uncompressed layer archive, on top of all layers of `parent`, for `create`.

        The archive becomes a blob that the lease keeps, and a snapshot of `driver`, like a layer that was pulled;
        what `parent` has is unpacked for `driver` first, where it is not. An archive with nothing in it makes a
        layer that is `empty`, and nothing else. Open the lease with `resumable=False`, so that a failure or
        `kill -9` leaves nothing. `progress` is as in `LayerStore.unpack`.

        Raises `CorruptContent` if the archive is none, `StorageFull`, `NotFound` if `parent` was removed.
        """
        layer = pack(archive, self._content, lease)
        if layer.empty:
            return layer
        if parent is not None:
            self._layers.ensure(parent, driver)
        below = () if parent is None else parent.diff_ids
        diff_ids = (*below, layer.diff_id)
        return replace(
            layer, size=self._layers.unpack(driver, diff_ids, len(below), layer.blob.digest, lease, progress)
        )

    def create(
        self,
        *,
        config: RunConfig,
        step: History,
        driver: str,
        lease: Lease,
        parent: Image | None = None,
        layer: NewLayer | None = None,
        comment: str = "",
        platform: Platform | None = None,
        reference: Reference | None = None,
        container: str = "",
    ) -> Image:
        """Make an image of `parent` and a layer of `add_layer`; either, or both, may be left out.

            with images.lease(f"commit {container}", resumable=False) as lease:
                layer = images.add_layer(difference, parent, driver=driver, lease=lease)
                step = History(created=now, created_by="sh -c …", author="…", comment="…")
                images.create(config=config, step=step, parent=parent, layer=layer, driver=driver, lease=lease)

        `config` is the whole configuration for its containers. `step` becomes the last one of its history, after
        the parent's, and says when it was made and by whom; whether it made a layer is found here. `platform` is
        the parent's, or this machine's, if it is not given. `reference` is as in `publish`, which this does at
        the end; the image has a manifest of its own. `container` is the ID of the container that it is
        made of. Raises `NotFound` if `parent` was removed meanwhile.
        """
        image = derive(parent, layer, config=config, step=step, comment=comment, platform=platform, container=container)
        content = write_config(image)
        layers = [] if parent is None else [*self.layers(parent)]
        if layer is not None and not layer.empty:
            layers.append(layer.blob)
        if parent is not None:
            self._layers.ensure(parent, driver)
        manifest, manifest_content = describe(Descriptor(CONFIG_TYPE, Digest.of(content), len(content)), layers)
        return self.publish(
            content,
            manifest,
            manifest_content,
            layers,
            image.sizes,
            driver=driver,
            lease=lease,
            reference=reference,
            parent=parent,
        )

    def tag(self, image: Image, reference: Reference) -> None:
        """Let a reference name an image, whatever it named before.

        Without a tag it gets `latest`. Raises `InvalidParameter` for one with a digest.
        """
        if reference.digest is not None:
            raise InvalidParameter(f"cannot tag an image with {reference.familiar}: a new name cannot have a digest")
        with self._db.transaction():
            self._point("tag", reference.tagged(), self._db.need("image", image.id))

    def repack(
        self, image: Image, blobs: Sequence[Descriptor], manifest: Descriptor, manifest_content: bytes, lease: Lease
    ) -> Image:
        """Let an image have other blobs of the same layers, which the lease keeps, and a manifest that names them.

        What it had goes with the garbage if no other image has it. Raises `NotFound` if the image was removed.
        """
        self._store(manifest, manifest_content, lease)
        repacked = replace(image, manifest=manifest.digest, blobs=tuple(blob.digest for blob in blobs))
        with self._db.transaction(durable=True):
            self._db.need("image", image.id)
            node = self._db.put("image", image.id, records.dump(repacked), root=True)
            self._db.unlink(node, "manifest")
            self._db.link(node, "manifest", self._db.need("blob", manifest.digest))
            layers = self._db.targets(node, "layer")
            for layer, old, new in zip(layers, image.blobs, repacked.blobs, strict=True):
                self._db.link(layer, "blob", self._db.need("blob", new))
                if not any(old in _image(user).blobs for user in self._db.sources(layer, "layer")):
                    self._db.unlink(layer, "blob", self._db.need("blob", old))
        return repacked

    def pushed(self, image: Image, reference: Reference) -> None:
        """Let a digest reference name an image, since a registry has it by that name now. Raises `NotFound`."""
        with self._db.transaction():
            self._point("digest", reference, self._db.need("image", image.id))

    def _store(self, descriptor: Descriptor, content: bytes, lease: Lease) -> None:
        with self._db.transaction():
            known = self._db.get("blob", descriptor.digest)
            if known is None:
                lease.keep_blob(descriptor)
            else:
                # The image that has it may be removed before this one does.
                lease.keep(known)
        with self._content.ingest(descriptor.digest, descriptor.size) as ingest:
            if not ingest.present:
                ingest.reset()
                ingest.write(content)
                ingest.commit()

    def _name(self, image: Node, reference: Reference, digest: Digest | None) -> None:
        if reference.tag is not None and reference.digest is None:
            self._point("tag", reference, image)
        digest = reference.digest or digest
        if digest is not None:
            self._point("digest", reference.without_tag().with_digest(digest), image)

    def _point(self, kind: str, reference: Reference, image: Node) -> None:
        node = self._db.get(kind, str(reference))
        if node is None or image.id not in {target.id for target in self._db.targets(node, "names")}:
            node = self._db.put(kind, str(reference), {"tagged": time.time_ns()}, root=True)
            self._db.unlink(node, "names")
            self._db.link(node, "names", image)

    # Finding

    def get(self, name: str) -> Image:
        """Return the image of a reference, an ID, or the beginning of an ID.

        Raises `NotFound` ("No such image: …"), and `InvalidParameter` for what is no reference or begins
        several IDs.
        """
        return _image(self._find(name))

    def named(self, reference: Reference) -> Image | None:
        """Return the image that a tag or a digest reference names, None if there is none."""
        node = self._db.get("tag" if reference.digest is None else "digest", str(reference))
        return None if node is None else _image(self._db.targets(node, "names")[0])

    def list(self) -> tuple[Image, ...]:
        """Return all images, the last created first."""
        images = [_image(node) for node in self._db.list("image")]
        return tuple(sorted(images, key=lambda image: unix_nanoseconds(image.created), reverse=True))

    def names(self, image: Image) -> tuple[Reference, ...]:
        """Return the tags and the digest references that name an image."""
        return self.tags(image) + self.digests(image)

    def tags(self, image: Image) -> tuple[Reference, ...]:
        """Return the tags that name an image, in the order of their names."""
        return self._names(image, "tag")

    def digests(self, image: Image) -> tuple[Reference, ...]:
        """Return the digest references that name an image, in the order of their names."""
        return self._names(image, "digest")

    def repository(self, reference: Reference) -> tuple[Reference, ...]:
        """Return all tags of a repository, in the order of their names."""
        nodes = self._db.find("tag", f"{reference.name}:")
        return tuple(Reference.parse(node.name) for node in nodes)

    def layers(self, image: Image) -> tuple[Descriptor, ...]:
        """Return what describes the blobs of an image's layers, lowest first. Raises `NotFound`."""
        return tuple(self.descriptor(blob) for blob in image.blobs)

    def manifest(self, image: Image) -> Descriptor:
        """Return what describes an image's manifest. Raises `NotFound`."""
        if image.manifest is None:
            raise NotFound(f"the image {image.id} has no manifest: pull it again")
        return self.descriptor(image.manifest)

    def keep(self, image: Image, lease: Lease) -> None:
        """Let a lease keep all that an image is made of, also when it is removed. Raises `NotFound`."""
        with self._db.transaction():
            node = self._db.need("image", image.id)
            for relation in ("config", "manifest", "layer"):
                for part in self._db.targets(node, relation):
                    lease.keep(part)

    def parent(self, image: Image) -> Image | None:
        """Return the image that an image was made from here, None if it was made elsewhere or that one is gone."""
        parents = self._db.targets(self._db.need("image", image.id), "parent")
        return _image(parents[0]) if parents else None

    def children(self, image: Image) -> tuple[Image, ...]:
        """Return the images that were made from an image here."""
        nodes = self._db.sources(self._db.need("image", image.id), "parent")
        return tuple(_image(node) for node in nodes if node.kind == "image")

    def tagged(self, repository: str) -> dict[Reference, Image]:
        """Return the images that a repository's tags name here, in the order of the tags."""
        nodes = self._db.find("tag", f"{repository}:")
        return {
            Reference.parse(node.name): _image(image) for node in nodes for image in self._db.targets(node, "names")
        }

    def repositories(self, blob: Digest) -> tuple[Reference, ...]:
        """Return digest references of images that have a blob: where it was pulled from, or pushed to."""
        # An image that is removed meanwhile is in all of what is read here, or in none of it.
        with self._db.transaction():
            node = self._db.get("blob", blob)
            if node is None:
                return ()
            layers = self._db.sources(node, "blob")
            images = {image.id: image for layer in layers for image in self._db.sources(layer, "layer")}
            images |= {image.id: image for image in self._db.sources(node, "config")}
            return tuple(name for image in images.values() for name in self._names(_image(image), "digest"))

    def descriptor(self, blob: Digest) -> Descriptor:
        """Return what is known of a blob. Raises `NotFound`."""
        node = self._db.need("blob", blob)
        return Descriptor(node.data["media_type"], blob, node.data["size"])

    def last_tagged(self, image: Image) -> int:
        """Return when the image got its newest tag, in nanoseconds since the epoch, 0 for never."""
        names = self._db.sources(self._db.need("image", image.id), "names")
        return max((node.data["tagged"] for node in names if node.kind == "tag"), default=0)

    def containers(self, image: Image) -> int:
        """Return how many containers use an image."""
        users = self._db.sources(self._db.need("image", image.id), "uses")
        return sum(node.kind == "container" for node in users)

    def _names(self, image: Image, kind: str) -> tuple[Reference, ...]:
        nodes = self._db.sources(self._db.need("image", image.id), "names")
        return tuple(Reference.parse(name) for name in sorted(node.name for node in nodes if node.kind == kind))

    def _find(self, name: str) -> Node:
        if whole := _ID.fullmatch(name):
            node = self._db.get("image", f"sha256:{whole[1]}")
            if node is None:
                raise NotFound(f"No such image: {name}")
            return node
        reference = Reference.parse(name).tagged()
        found: tuple[Node, ...] = ()
        if reference.digest is not None:
            named = self._db.get("digest", str(reference.without_tag()))
        else:
            named = self._db.get("tag", str(reference))
        if named is not None:
            found = self._db.targets(named, "names")
        elif start := _ID_START.fullmatch(name):
            found = self._db.find("image", f"sha256:{start[1]}")
        if len(found) > 1:
            raise InvalidParameter(f"multiple images have IDs that begin with {name}: give more digits")
        if not found:
            raise NotFound(f"No such image: {reference.familiar}")
        return found[0]

    # Removing

    def remove(self, name: str, *, force: bool = False, prune: bool = True) -> tuple[Removed, ...]:
        """Remove a name of an image, and the image itself with its last one, by the rules of `docker rmi`.

        With `prune` the images that it was made from here go too, as far as they have no name and no other use.
        What it occupied is freed by `collect_garbage`. Raises `NotFound`, and `Conflict` if containers use
        it, other images were made from it, or several repositories name it; then nothing has changed.
        """
        with self._db.freeing(), self._db.transaction():
            node = self._find(name)
            return Removal(self._db, node).run(name, force=force, prune=prune)

    def recover(self) -> None:
        """Called at the engine's start: give up what nobody can go on with, and collect what that leaves."""
        with self._db.freeing():
            end_old_leases(self._db, starting=True)
        self.collect_garbage()

    def collect_garbage(self) -> None:
        """Delete blobs and layers that no image, container or lease refers to, and end old leases."""
        with self._db.freeing():
            end_old_leases(self._db)
            # Blobs go while the database is held: nobody can start to rely on one that is about to go.
            with self._db.transaction():
                self._db.collect(leave=("snapshot",))
                known = {node.name for node in self._db.list("blob")}
                for digest in self._content.list():
                    if digest not in known:
                        self._content.remove(digest)
            self._layers.collect()


def _image(node: Node) -> Image:
    return records.load(Image, node.data)
