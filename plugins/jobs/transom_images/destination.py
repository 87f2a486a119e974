"""A repository that is written to (OCI distribution specification, "Push")."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from transom.config import Config
from transom.errors import InvalidParameter, RegistryError, Unauthorized
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.reference import Reference
from transom.registry import Credentials
from transom_images.connections import Patience
from transom_images.endpoints import Endpoint
from transom_images.manifests import ACCEPTED
from transom_images.refusals import refuse_push
from transom_images.retries import retry
from transom_images.transport import Answer, Body, Interrupted, Transport

__all__ = ["SILENCE", "Destination", "Session"]

#: Seconds that a registry may think about what it was sent. Some copy a blob before they answer.
SILENCE = 120.0

_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,19})\Z")
_OCTETS = "application/octet-stream"


class Session:
    """The upload of one blob, which the registry knows by `address`; `offset` is how many bytes it has."""

    def __init__(self, address: str, offset: int = 0) -> None:
        self.address = address
        self.offset = offset


class Destination:
    """One repository at its registry. One of them serves the threads of one push.

    Every method raises `Unauthorized`, `Forbidden`, `RegistryError`, and `Interrupted` for what may pass; to try again
    is the caller's part, but for `put_manifest`.
    """

    def __init__(
        self, repository: Reference, config: Config, credentials: Credentials | None, patience: Patience
    ) -> None:
        self._path = repository.path
        self._scope = f"repository:{repository.path}:pull,push"
        self._attempts = config.max_download_attempts
        self._check = patience.check
        self._transport = Transport(patience, config, config.max_concurrent_uploads + 1)
        self._endpoint = Endpoint.registry(self._transport, repository.domain, credentials)

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def has_blob(self, digest: Digest) -> bool:
        """Return whether the repository has a blob."""
        with self._endpoint.get(f"/v2/{self._path}/blobs/{digest}", {}, self._scope, "HEAD") as answer:
            # What a registry has against this question it says again, and with its reasons, when the upload begins.
            if answer.status >= 500 or answer.status in (408, 429):
                refuse_push(answer)
            return answer.status < 300

    def mount(self, digest: Digest, source: str) -> Session | None:
        """Let the repository have a blob that another repository of the registry, `source`, has.

        Returns None if it has it now, and else an upload that has begun instead.
        """
        scope = f"{self._scope} repository:{source}:pull"
        query = urlencode({"mount": digest, "from": source})
        with self._endpoint.send("POST", f"/v2/{self._path}/blobs/uploads/?{query}", {}, scope) as answer:
            refuse_push(answer)
            return None if answer.status == 201 else self._session(answer)

    def begin(self) -> Session:
        """Begin the upload of a blob."""
        with self._endpoint.send("POST", f"/v2/{self._path}/blobs/uploads/", {}, self._scope) as answer:
            refuse_push(answer)
            return self._session(answer)

    def append(self, session: Session, length: int, body: Callable[[], Body]) -> None:
        """Send the next `length` bytes of a blob."""
        headers = {
            "Content-Type": _OCTETS,
            "Content-Range": f"{session.offset}-{session.offset + length - 1}",
        }
        with self._endpoint.send("PATCH", session.address, headers, self._scope, body) as answer:
            refuse_push(answer)
            session.address = self._endpoint.follow(answer)
            session.offset += length

    def ask(self, session: Session) -> Session | None:
        """Return the upload as the registry knows it after an interruption; None if it has to be begun again."""
        with self._endpoint.send("GET", session.address, {}, self._scope) as answer:
            if answer.status == 404:
                return None
            refuse_push(answer)
            have = _RANGE.match(answer.headers.get("Range", ""))
            # "0-0" is said of nothing as well as of one byte.
            if have is None or have[1] == "0":
                return None
            address = self._endpoint.follow(answer) if answer.headers.get("Location") else session.address
            return Session(address, int(have[1]) + 1)

    def finish(self, session: Session, digest: Digest, body: Callable[[], Body | bytes] = bytes) -> None:
        """End the upload of a blob, with the bytes that are missing, and let it have its digest."""
        separator = "&" if urlsplit(session.address).query else "?"
        address = f"{session.address}{separator}{urlencode({'digest': digest})}"
        with self._endpoint.send("PUT", address, {"Content-Type": _OCTETS}, self._scope, body) as answer:
            refuse_push(answer)

    def cancel(self, session: Session) -> None:
        """Give an upload up. Whether the registry minds is its own business."""
        try:
            self._endpoint.send("DELETE", session.address, {}, self._scope).close()
        except (RegistryError, Unauthorized):
            return

    def put_manifest(self, tag: str, manifest: Descriptor, content: bytes) -> None:
        """Let a tag be a manifest, whose blobs are there. It is tried again after failures that may pass."""
        headers = {"Content-Type": manifest.media_type, "Accept": ", ".join(ACCEPTED)}

        def put() -> None:
            path = f"/v2/{self._path}/manifests/{tag}"
            with self._endpoint.send("PUT", path, headers, self._scope, lambda: content) as answer:
                refuse_push(answer)
                self._verify(answer, manifest.digest)

        retry(put, self._attempts, self._check)

    def _verify(self, answer: Answer, digest: Digest) -> None:
        """Raise `RegistryError` if the registry says that it has kept a manifest under another digest."""
        try:
            claimed = Digest.parse(answer.headers.get("Docker-Content-Digest", ""))
        except InvalidParameter:
            return
        if claimed.algorithm == digest.algorithm and claimed != digest:
            raise RegistryError(f"{answer.host} has kept the manifest {digest} as {claimed}, which is something else")

    def _session(self, answer: Answer) -> Session:
        if answer.status != 202:
            raise Interrupted(f"{answer.host} answers to the beginning of an upload with the status {answer.status}")
        return Session(self._endpoint.follow(answer))
