"""Stores on a temporary root, with a graph driver that keeps archives in plain directories."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, ClassVar

import pytest

from transom.catalog import Shelf
from transom.drivers.graph import Capabilities, Change, GraphDriver, Usage
from transom.errors import CorruptContent
from transom.graph.content import ContentStore, Descriptor
from transom.graph.db import GraphDB
from transom.graph.digest import Digest, chain_ids
from transom.graph.images import ImageStore
from transom.graph.layers import LayerStore
from transom.graph.model import Image
from transom.graph.reference import Reference
from transom.plugins import Plugin

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


class PlainDriver(GraphDriver):
    """Keeps a layer as a directory with its archive and its parent's name, and notes what it is asked."""

    name = "plain"
    rank = 1
    capabilities: ClassVar[Capabilities] = Capabilities(independent_layers=True)

    def __init__(self, root: Path, mounts: Path) -> None:
        super().__init__(root, mounts)
        self.calls: list[tuple[str, str]] = []
        self.recovered: set[str] | None = None
        self.fail: OSError | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.applying = threading.Event()

    def create(self, layer: str, parent: str | None) -> None:
        self.calls.append(("create", layer))
        if self.fail is not None:
            raise self.fail
        (self.root / layer).mkdir()
        (self.root / layer / "parent").write_text(parent or "")

    def mount(self, layer: str, *, read_only: bool = False) -> Path:
        self.calls.append(("mount-ro" if read_only else "mount", layer))
        return self.root / layer

    def unmount(self, layer: str) -> None:
        self.calls.append(("unmount", layer))

    def remove(self, layer: str) -> None:
        if (self.root / layer).exists():
            self.calls.append(("remove", layer))
            if self.fail is not None:
                raise self.fail
            shutil.rmtree(self.root / layer)

    def apply(self, layer: str, archive: IO[bytes]) -> int:
        self.applying.set()
        assert self.gate.wait(30)
        content = archive.read(700)
        while more := archive.read(700):
            content += more
        try:
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                size = sum(member.size for member in tar)
        except tarfile.TarError as error:
            raise CorruptContent(str(error)) from error
        (self.root / layer / "archive").write_bytes(content)
        return size

    def parent(self, layer: str) -> str | None:
        return (self.root / layer / "parent").read_text() or None

    def changes(self, layer: str, placeholders: Collection[bytes] = ()) -> list[Change]:
        self.calls.append(("changes", layer))
        return []

    def usage(self, layer: str) -> Usage:
        return Usage(sum(path.stat().st_size for path in (self.root / layer).iterdir()), 1)

    def recover(self, known: Collection[str]) -> None:
        self.recovered = set(known)
        for path in self.root.iterdir():
            if path.name not in known:
                shutil.rmtree(path)

    def layers(self) -> set[str]:
        return {path.name for path in self.root.iterdir()}


def archive(*files: tuple[str, bytes]) -> bytes:
    """Return a tar with the files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@dataclass
class Made:
    """An image as a registry would have it."""

    layers: list[bytes]
    labels: dict[str, str] = field(default_factory=dict)
    created: str = "2024-01-01T00:00:00Z"

    def __post_init__(self) -> None:
        self.blobs = [gzip.compress(layer, mtime=0) for layer in self.layers]
        self.diff_ids = tuple(Digest.of(layer) for layer in self.layers)
        self.chain = chain_ids(self.diff_ids)
        self.config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "created": self.created,
                "config": {"Labels": self.labels, "Cmd": ["sh"]},
                "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
                "history": [
                    {"created": self.created, "created_by": f"step {number}"} for number in range(len(self.layers))
                ],
            }
        ).encode()
        self.descriptors = [Descriptor(LAYER_TYPE, Digest.of(blob), len(blob)) for blob in self.blobs]
        self.id = Digest.of(self.config)
        self.manifest_content = b'{"config": "%s"}' % self.id.encode()
        self.manifest = Descriptor(MANIFEST_TYPE, Digest.of(self.manifest_content), len(self.manifest_content))

    @property
    def names(self) -> list[str]:
        """The names of its layers in a driver, lowest first."""
        return [chain_id.hex for chain_id in self.chain]


def made(*contents: str, created: str = "2024-01-01T00:00:00Z", **labels: str) -> Made:
    """Return an image with a layer per content."""
    return Made([archive((content, content.encode() * 10)) for content in contents], labels, created)


class Stores:
    """What an engine opens, on one root; `reopen` is what a new engine finds after `kill -9`."""

    made = staticmethod(made)
    archive = staticmethod(archive)
    image = Made

    def __init__(self, root: Path) -> None:
        self.root = root
        self.reopen()

    def reopen(self) -> None:
        """Open the stores as a new engine does."""
        shelf: Shelf[GraphDriver] = Shelf("graph", self.root / "graph")
        shelf.add(PlainDriver, Plugin("plain", "plain", "", ""))
        shelf.get("plain")
        self.db = GraphDB(self.root / "graph.db")
        self.content = ContentStore(self.root / "content")
        self.layers = LayerStore(self.db, self.content, shelf, self.root / "mounts")
        self.images = ImageStore(self.db, self.content, self.layers)
        self.content.recover()
        self.layers.recover()
        self.images.recover()

    @property
    def driver(self) -> PlainDriver:
        """The driver that the layer store uses."""
        driver = self.layers.driver("plain")
        assert isinstance(driver, PlainDriver)
        return driver

    def pull(self, image: Made, name: str | None = None, tags: Iterable[Reference] = ()) -> Image:
        """Do what a pull does; `tags` are more names."""
        with self.images.lease(f"pull {name}") as lease:
            for descriptor, blob in zip(image.descriptors, image.blobs, strict=True):
                lease.keep_blob(descriptor)
                if not self.content.has(descriptor.digest):
                    self.content.put(blob)
            sizes = [
                self.layers.unpack("plain", image.diff_ids, index, descriptor.digest, lease)
                for index, descriptor in enumerate(image.descriptors)
            ]
            return self.images.publish(
                image.config,
                image.manifest,
                image.manifest_content,
                image.descriptors,
                sizes,
                driver="plain",
                lease=lease,
                reference=Reference.parse(name).tagged() if name else None,
                digest=image.manifest.digest,
                tags=tags,
            )


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    stores = Stores(tmp_path)
    yield stores
    stores.db.close()
