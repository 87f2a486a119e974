"""References: the names of images, by the rules of Docker (the grammar of distribution/reference)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from transom.errors import InvalidParameter
from transom.graph.digest import Digest

__all__ = ["DEFAULT_DOMAIN", "DEFAULT_TAG", "Reference", "split_domain", "parse_name"]

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"

_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
_LONGEST_NAME = 255

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"

_tag_form = re.compile(_TAG)
_reference_form = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?"
)
_identifier_form = re.compile(r"[a-f0-9]{64}")


@dataclass(frozen=True)
class Reference:
    """A repository (`domain`/`path`), with a tag, a digest, both or neither; `str()` is canonical."""

    domain: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Return the reference that a user wrote: "busybox", "host:5000/a/b:tag@sha256:…".

        Raises `InvalidParameter` ("invalid reference format…").
        """
        if _identifier_form.fullmatch(text):
            raise InvalidParameter(
                f"invalid reference format: the repository name ({text}) cannot be 64 hexadecimal digits"
            )
        domain, rest = split_domain(text)
        path = rest.partition("@")[0].partition(":")[0]
        if path != path.lower():
            raise InvalidParameter(f"invalid reference format: repository name ({path}) must be lowercase")
        match = _reference_form.fullmatch(f"{domain}/{rest}")
        if match is None:
            raise InvalidParameter(f"invalid reference format: {text!r} is not [HOST[:PORT]/]NAME[:TAG][@DIGEST]")
        if len(f"{domain}/{match['path']}") > _LONGEST_NAME:
            raise InvalidParameter(
                f"invalid reference format: repository name must not be more than {_LONGEST_NAME} characters"
            )
        digest = match["digest"]
        return cls(match["domain"], match["path"], match["tag"], Digest.parse(digest) if digest else None)

    @property
    def name(self) -> str:
        """The repository in full: "docker.io/library/busybox"."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The repository as users write it: "busybox"."""
        short = self.path
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        if short.startswith(_OFFICIAL) and short.count("/") == 1:
            short = short.removeprefix(_OFFICIAL)
        # A path that begins like a host, or looks like an ID, would be read as something else without its
        # domain.
        if _identifier_form.fullmatch(short) or split_domain(short) != (self.domain, self.path):
            return self.name
        return short

    @property
    def familiar(self) -> str:
        """The reference as users write it: "busybox:latest"."""
        return self.familiar_name + self._suffix

    def __str__(self) -> str:
        return self.name + self._suffix

    @property
    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        return f"{tag}@{self.digest}" if self.digest is not None else tag

    def with_tag(self, tag: str) -> Reference:
        """Return it with a tag in place of its own. Raises `InvalidParameter` for what is no tag."""
        if not _tag_form.fullmatch(tag):
            raise InvalidParameter(
                f"invalid tag format: {tag!r} is not 1 to 128 letters, digits, underscores, periods, hyphens"
            )
        return replace(self, tag=tag)

    def with_digest(self, digest: Digest) -> Reference:
        """Return it with a digest in place of its own."""
        return replace(self, digest=digest)

    def without_tag(self) -> Reference:
        """Return it without its tag."""
        return replace(self, tag=None)

    def tagged(self) -> Reference:
        """Return it with the tag `latest` if it has neither tag nor digest."""
        if self.tag is None and self.digest is None:
            return replace(self, tag=DEFAULT_TAG)
        return self


def split_domain(text: str) -> tuple[str, str]:
    """Return the domain of what a user wrote, and the rest with `library/` where Docker's rules put it."""
    first, slash, rest = text.partition("/")
    is_domain = first == "localhost" or "." in first or ":" in first or first != first.lower()
    if not slash or not is_domain:
        domain, rest = DEFAULT_DOMAIN, text
    else:
        domain = DEFAULT_DOMAIN if first == _LEGACY_DOMAIN else first
    if domain == DEFAULT_DOMAIN and "/" not in rest:
        rest = _OFFICIAL + rest
    return domain, rest


def parse_name(repository: str, tag: str) -> Reference | None:
    """Return the name that a new image is to get, None where no repository is given. Raises `InvalidParameter`."""
    if not repository:
        return None
    reference = Reference.parse(repository)
    if reference.digest is not None:
        raise InvalidParameter(f"cannot name an image {reference.familiar}: a new name cannot have a digest")
    if reference.familiar_name == "sha256":
        raise InvalidParameter("refusing to create an ambiguous tag using digest algorithm as name")
    return (reference.with_tag(tag) if tag else reference).tagged()
