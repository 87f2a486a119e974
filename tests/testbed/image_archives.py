"""Archives of images, made by hand, so that anything can be wrong with them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transom.graph.digest import Digest

__all__ = ["ImageParts", "docker_archive", "layer", "oci_layout", "pack"]

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


def pack(members: Mapping[str, bytes | tarfile.TarInfo]) -> bytes:
    """Return a tar of files by name; a value that is a `TarInfo` becomes a member without content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def layer(name: str, content: str = "content") -> bytes:
    """Return an uncompressed layer with one file."""
    return pack({name: content.encode()})


@dataclass
class ImageParts:
    """One image: its layers as they are stored, and what else it consists of."""

    layers: Sequence[bytes]
    names: Sequence[str] = ()
    architecture: str = "amd64"
    os: str = "linux"
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def diff_ids(self) -> list[Digest]:
        return [
            Digest.of(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content) for content in self.layers
        ]

    @property
    def config(self) -> bytes:
        document = {
            "architecture": self.architecture,
            "os": self.os,
            "created": "2024-01-01T00:00:00Z",
            "config": {"Cmd": ["sh"], "Labels": dict(self.labels)},
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
            "history": [{"created_by": f"step {index}"} for index, _ in enumerate(self.layers)],
        }
        return json.dumps(document).encode()

    @property
    def id(self) -> Digest:
        return Digest.of(self.config)

    @property
    def manifest(self) -> bytes:
        kinds = ["+gzip" if content[:2] == b"\x1f\x8b" else "" for content in self.layers]
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": described(self.config, "application/vnd.oci.image.config.v1+json"),
            "layers": [
                described(content, f"application/vnd.oci.image.layer.v1.tar{kind}")
                for content, kind in zip(self.layers, kinds, strict=True)
            ],
        }
        return json.dumps(document).encode()


def described(content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    """Return a descriptor of content."""
    return {"mediaType": media_type, "digest": Digest.of(content), "size": len(content), **more}


def docker_archive(*images: ImageParts) -> dict[str, bytes | tarfile.TarInfo]:
    """Return the members of an archive as `docker save` made them before version 25."""
    members: dict[str, bytes | tarfile.TarInfo] = {}
    manifest = []
    for image in images:
        paths = [f"{Digest.of(content).hex}/layer.tar" for content in image.layers]
        members.update(zip(paths, image.layers, strict=True))
        members[f"{image.id.hex}.json"] = image.config
        manifest.append({"Config": f"{image.id.hex}.json", "RepoTags": list(image.names) or None, "Layers": paths})
    members["manifest.json"] = json.dumps(manifest).encode()
    return members


def oci_layout(*images: ImageParts, index: bytes | None = None) -> dict[str, bytes | tarfile.TarInfo]:
    """Return the members of an OCI layout, with each name of an image in an annotation."""
    members: dict[str, bytes | tarfile.TarInfo] = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    entries = []
    for image in images:
        for content in (*image.layers, image.config, image.manifest):
            members[f"blobs/sha256/{Digest.of(content).hex}"] = content
        entry = described(image.manifest, MANIFEST_TYPE)
        entries += [{**entry, "annotations": {"io.containerd.image.name": name}} for name in image.names] or [entry]
    members["index.json"] = index or json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    return members
