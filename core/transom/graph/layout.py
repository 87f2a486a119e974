"""What is where in an archive of images, and by which names.

OCI image specification, image-layout.md; Docker's own format, "Docker Image Specification v1.2.0".
"""

from __future__ import annotations

from typing import Final

from transom.graph.digest import Digest

__all__ = [
    "DOCKER_MANIFEST",
    "INDEX",
    "LAYOUT",
    "LAYOUT_CONTENT",
    "REFERENCE_NAME",
    "REPOSITORIES",
    "WHOLE_NAME",
    "blob_name",
]

#: The images of an OCI layout, and what says that it is one.
INDEX: Final = "index.json"
LAYOUT: Final = "oci-layout"
LAYOUT_CONTENT: Final = {"imageLayoutVersion": "1.0.0"}
#: The images of Docker's format, and the names of those of the format before it.
DOCKER_MANIFEST: Final = "manifest.json"
REPOSITORIES: Final = "repositories"

#: The annotations that name an image of an index: its tag, and as containerd and Docker write it all of its name.
REFERENCE_NAME: Final = "org.opencontainers.image.ref.name"
WHOLE_NAME: Final = "io.containerd.image.name"


def blob_name(digest: Digest) -> str:
    """Return where a blob is."""
    return f"blobs/{digest.algorithm}/{digest.hex}"
