"""Names of images as people write them: what is left out, and what is wrong before the daemon is asked.

The grammar is that of the OCI distribution specification ("Pulling manifests") with Docker's defaults.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from transom_cli.errors import CommandFailed

__all__ = ["Reference", "familiar", "parse_reference"]

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[+._-][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")


class Reference(NamedTuple):
    """A registry, a repository in it, and a tag or a digest or both; each may be empty but the first two."""

    domain: str
    path: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """The repository with its registry, as people write it."""
        if self.domain != "docker.io":
            return f"{self.domain}/{self.path}"
        return self.path.removeprefix("library/")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.domain}/{self.path}{tag}" + (f"@{self.digest}" if self.digest else "")

    @property
    def familiar(self) -> str:
        """The whole reference as people write it."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")

    def tagged(self) -> Reference:
        """The same, with the tag `latest` if it has neither a tag nor a digest."""
        return self if self.tag or self.digest else self._replace(tag="latest")


def parse_reference(text: str) -> Reference:
    """Return a reference with Docker's defaults for the registry. Raises `CommandFailed`."""
    rest, _, digest = text.partition("@")
    colon = rest.rfind(":")
    rest, tag = (rest[:colon], rest[colon + 1 :]) if colon > rest.rfind("/") else (rest, "")
    first, slash, path = rest.partition("/")
    local = "." not in first and ":" not in first and first != "localhost" and first == first.lower()
    domain, path = ("docker.io", rest) if not slash or local else (first, path)
    if domain == "index.docker.io":
        domain = "docker.io"
    if domain == "docker.io" and "/" not in path:
        path = f"library/{path}"
    if path != path.lower():
        raise CommandFailed(f"invalid reference format: repository name ({path}) must be lowercase")
    right = (
        _PATH.fullmatch(path)
        and _HOST.fullmatch(domain)
        and (not tag or _TAG.fullmatch(tag))
        and (not digest or _DIGEST.fullmatch(digest))
    )
    if not right or rest.endswith(":") or text.endswith(("@", ":")):
        raise CommandFailed("invalid reference format")
    return Reference(domain, path, tag, digest)


def familiar(text: str) -> str:
    """Return an image's name without its digest and its defaults; unchanged if it is no reference."""
    try:
        reference = parse_reference(text)
    except CommandFailed:
        return text
    return reference._replace(digest="").familiar
