"""References: the names of images, by the rules of Docker (the grammar of the project distribution/reference)."""

from __future__ import annotations

from dataclasses import dataclass

from transom.graph.digest import Digest

__all__ = ["DEFAULT_DOMAIN", "DEFAULT_TAG", "Reference"]

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"


@dataclass(frozen=True, order=True)
class Reference:
    """A repository (`domain`/`path`) and in it a tag, a digest, both or neither. `str()` is the canonical form."""

    domain: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Return the reference that a user wrote: "busybox", "host:5000/a/b:tag@sha256:…".

        Raises `InvalidParameter` ("invalid reference format…").
        """
        ...

    @property
    def name(self) -> str:
        """The repository in full: "docker.io/library/busybox"."""
        ...

    @property
    def familiar_name(self) -> str:
        """The repository as users write it: "busybox"."""
        ...

    @property
    def familiar(self) -> str:
        """The reference as users write it: "busybox:latest"."""
        ...

    def with_tag(self, tag: str) -> Reference:
        """Return it with a tag in place of its own. Raises `InvalidParameter` for what is no tag."""
        ...

    def with_digest(self, digest: Digest) -> Reference:
        """Return it with a digest in place of its own."""
        ...

    def without_tag(self) -> Reference:
        """Return it without its tag."""
        ...

    def tagged(self) -> Reference:
        """Return it with the tag `latest` if it has neither tag nor digest."""
        ...
