"""Builds, as their edge and their jobs agree on them: what only the client has, where results go, what is kept.

The job `build` takes the context as a tar archive, compressed or not, as its input; with `remote` the input is the
Dockerfile to build from, if it is not empty. Of its parameters, `dockerfile` is a path in the archive, or a URL;
`hidden` is a directory of the archive that does not belong to the context, with a Dockerfile that is not in it and the
`.dockerignore` that the client has heeded; `credentials` are by the name of a registry, and
`contexts` are named contexts: `docker-image://REFERENCE`, `oci-layout://NAME[:TAG][@DIGEST]` (the layout comes over the
session as NAME), the URL of a repository or an archive, or `session://NAME` for a directory of the client's.

It reports for clients that speak Docker's API lines of text
(`progress="docker"`), or for clients that draw (`progress="steps"`) results of these kinds, by `Job.tell`:

- `vertex={"id", "name", "started", "completed", "cached", "error"}`: a step, again whenever one of these changes; times
  are in nanoseconds since the epoch, and what is not known yet is left out;
- `vertex={"id", "log", "stream"}`: text that a step has written to its standard output (1) or error (2);
- `vertex={"id", "status", "current", "total", "started", "completed"}`: how far one part of a step is, in bytes;
- `warning={"rule", "description", "url", "detail", "line"}`: what a check of the Dockerfile has found;
- `ID="sha256:…"`: the image, last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket

__all__ = ["BuildOutput", "BuildSession", "CacheRecord", "CacheStore"]


class BuildSession(Protocol):
    """The client of a build, as long as it is there: what it alone has, and where results go that it wants itself.

    Every method raises `Cancelled` when the client is gone, and so do the streams.
    """

    def secret(self, id: str) -> bytes | None:
        """Return a secret, or None if the client has none of that name."""

    def open_ssh(self, id: str) -> socket.socket:
        """Return a connection to one of the client's SSH agents. Raises `NotFound` if it has none of that name."""

    def context(self, name: str) -> IO[bytes]:
        """Return a local directory of the client's as a tar archive. Raises `NotFound` if it has none of that name.

        Reading raises `InvalidParameter` where the client cannot read on.
        """

    def output(self, name: str) -> IO[bytes]:
        """Return a stream to write a result to, in a `with` block: one that ends by an error is no result.

        Raises `NotFound` if the client wants none of that name, and what it cannot write as `InvalidParameter`.
        """


@dataclass(frozen=True)
class BuildOutput:
    """One `--output`: its type (`image`, `local`, `tar`, `docker`, `oci`, `registry`) and its other attributes.

    `stream` is the name of the output of the session that the result is written to, empty if it stays in the engine or
    goes to a registry.
    """

    type: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    stream: str = ""


@dataclass(frozen=True)
class CacheStore:
    """One `--cache-from` or `--cache-to`: its type (`registry`, `inline`, `local`) and its other attributes, as `ref`.

    The `stream` of a local one is the name of the session's context, or output, that it comes from or goes to.
    """

    type: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CacheRecord:
    """What is kept of one step of a build, with the fields of Docker's `BuildCache`.

    `type` is a word of Docker's (`regular`, `source.local`, `exec.cachemount` …). `size` is in bytes, times are in
    nanoseconds since the epoch; `last_used` is None if it was not used since it was made.
    """

    id: str
    type: str
    description: str
    created: int
    parents: tuple[str, ...] = ()
    last_used: int | None = None
    usage_count: int = 0
    size: int = 0
    shared: bool = False
    in_use: bool = False
