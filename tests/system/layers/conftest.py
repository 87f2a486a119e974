"""An image that wastes, made by hand, and loaded by a daemon."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from testbed.daemon import Daemon
from testbed.image_archives import MANIFEST_TYPE, described, pack
from testbed.screen import Screen
from transom.graph.digest import Digest
from transom.testing.archives import Member, file, symlink, whiteout
from transom.testing.archives import pack as pack_layer

NAME = "wasteful:1"
LISTS = "var/lib/apt/lists/"

#: Its layers, each with the line of the history that made it, and lines that made none.
STEPS: list[tuple[str, list[Member] | None]] = [
    ("/bin/sh -c #(nop) ADD file:1 in / ", [file("bin/sh", b"s" * 400_000), symlink("bin/ls", "sh")]),
    ('/bin/sh -c #(nop)  CMD ["sh"]', None),
    (
        "RUN /bin/sh -c apt-get update && apt-get install git # buildkit",
        [file(f"{LISTS}packages", b"p" * 300_000), file("bin/git", b"g" * 200_000)],
    ),
    ("ENV A=<script>document.title=1</script>", None),
    ("COPY . /app # buildkit", [file("app/data", b"d" * 100_000), file(b"app/<b>\xff\x1b[31m", b"x" * 50_000)]),
    ("RUN /bin/sh -c chown 7 /app/data # buildkit", [file("app/data", b"d" * 100_000, uid=7)]),
    ("RUN /bin/sh -c rm -r /var/lib/apt/lists # buildkit", [whiteout("var/lib/apt/lists")]),
]
SIZE = 400_002 + 500_000 + 150_000 + 100_000
WASTED = 300_000 + 100_000


def archive() -> bytes:
    """Return the image as an OCI layout."""
    plain = [pack_layer(members) for _, members in STEPS if members is not None]
    layers = [gzip.compress(layer, 1, mtime=0) for layer in plain]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [Digest.of(layer) for layer in plain]},
        "history": [{"created_by": step, "empty_layer": members is None} for step, members in STEPS],
    }
    content = json.dumps(config).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": described(content, "application/vnd.oci.image.config.v1+json"),
            "layers": [described(layer, "application/vnd.oci.image.layer.v1.tar+gzip") for layer in layers],
        }
    ).encode()
    named = {"io.containerd.image.name": f"docker.io/library/{NAME}"}
    index = {"schemaVersion": 2, "manifests": [{**described(manifest, MANIFEST_TYPE), "annotations": named}]}
    blobs = {f"blobs/sha256/{Digest.of(blob).hex}": blob for blob in (*layers, content, manifest)}
    layout: dict[str, bytes] = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps(index).encode(),
    }
    return pack({**layout, **blobs})


@dataclass
class Wasteful:
    """What is known of the image before it is looked at."""

    name: str = NAME
    size: int = SIZE
    wasted: int = WASTED


@pytest.fixture(scope="package")
def layers_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that has the image."""
    with Daemon(tmp_path_factory.mktemp("layers"), "--graphdriver", "vfs") as daemon:
        daemon.transom("load", input=archive())
        yield daemon


@pytest.fixture
def wasteful() -> Wasteful:
    return Wasteful()


@pytest.fixture
def screen() -> type[Screen]:
    """Run a command on a terminal: `with screen(command) as shown`."""
    return Screen
