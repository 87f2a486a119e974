"""A client of one repository of a registry (OCI distribution specification, "Pull").

Docker's registry protocol, version 2, is the same for what is used here. A repository of docker.io is asked
for at the configured mirrors first.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import orjson

from transom.config import Config
from transom.errors import CorruptContent, InvalidParameter, NotFound, RegistryError, Unauthorized, Unsupported
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.reference import DEFAULT_DOMAIN, Reference
from transom.registry import Credentials
from transom_images.connections import Patience
from transom_images.endpoints import Endpoint
from transom_images.manifests import ACCEPTED, LIMIT, parse_manifest
from transom_images.refusals import denied_pull, refuse_pull
from transom_images.retries import retry
from transom_images.transport import Answer, Transport

__all__ = ["Fetched", "Registry"]

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_MOST_TAG_PAGES = 1000

T = TypeVar("T")


@dataclass(frozen=True)
class Fetched:
    """A manifest as the registry gave it; `descriptor.media_type` is what the registry called it."""

    descriptor: Descriptor
    content: bytes


class Registry:
    """One repository, at its registry and at the registry's mirrors. One of them serves the threads of one
    pull.

    Every method raises `Unauthorized`, `NotFound` or `RegistryError`; those whose answer is small try again
    after failures that may pass.
    """

    def __init__(
        self, repository: Reference, config: Config, credentials: Credentials | None, patience: Patience
    ) -> None:
        self._repository = repository
        self._attempts = config.max_download_attempts
        self._check = patience.check
        self._transport = Transport(patience, config, config.max_concurrent_downloads + 1)
        self._mirrors: list[Endpoint] = []
        if repository.domain == DEFAULT_DOMAIN:
            self._mirrors += [Endpoint.mirror(self._transport, address) for address in config.registry_mirrors]
        self._origin = Endpoint.registry(self._transport, repository.domain, credentials)
        self._guard = threading.Lock()
        #: The mirror that gave each blob last.
        self._givers: dict[Digest, Endpoint] = {}

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def manifest(self, reference: Reference, expected: Descriptor | None = None) -> Fetched:
        """Return the manifest of a tag or digest, whose digest and size are verified.

        `expected` is what an index says of it. Raises `CorruptContent` if it is not what its digest says.
        """
        digest = expected.digest if expected else reference.digest
        name = digest or reference.tag or ""

        def read(answer: Answer) -> Fetched:
            with answer:
                refuse_pull(answer, reference)
                content = answer.read(LIMIT)
                media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
                claimed = answer.headers.get("Docker-Content-Digest", "")
            actual = _verify(content, digest or _digest(claimed))
            if expected and len(content) != expected.size:
                raise CorruptContent(f"the manifest {digest} has {len(content)} bytes instead of {expected.size}")
            return Fetched(Descriptor(media_type, actual, len(content)), content)

        def probe(fetched: Fetched) -> None:
            parse_manifest(fetched.content, fetched.descriptor.media_type)

        headers = {"Accept": ", ".join(ACCEPTED)}
        return self._retry(lambda: self._first(f"manifests/{name}", headers, read, probe))

    def blob(self, digest: Digest, offset: int) -> Answer:
        """Return a server's answer to the request for a blob from `offset` on: status 200, 206 or 416.

        Raises `Interrupted` for failures that may pass; to try again is the caller's part.
        """

        def check(answer: Answer) -> Answer:
            try:
                if answer.status != 416 or not offset:
                    refuse_pull(answer, self._repository)
            except BaseException:
                answer.close()
                raise
            return answer

        headers = {"Range": f"bytes={offset}-"} if offset else {}
        return self._first(f"blobs/{digest}", headers, check, digest=digest)

    def configuration(self, blob: Descriptor) -> bytes:
        """Return an image's configuration, whose digest is verified, without keeping it."""

        def read(answer: Answer) -> bytes:
            with answer:
                refuse_pull(answer, self._repository)
                content = answer.read(LIMIT)
            _verify(content, blob.digest)
            return content

        return self._retry(lambda: self._first(f"blobs/{blob.digest}", {}, read))

    def distrust(self, digest: Digest) -> bool:
        """Ask the mirror that gave a blob no more, since it gave something else; False if it was no mirror."""
        with self._guard:
            giver = self._givers.pop(digest, None)
        if giver is not None:
            self._drop(giver)
        return giver is not None

    def tags(self) -> list[str]:
        """Return the tags of the repository."""
        tags: dict[str, None] = {}
        path = "tags/list"
        for _ in range(_MOST_TAG_PAGES):
            page, path = self._retry(lambda path=path: self._first(path, {}, self._tag_page))  # type: ignore[misc]
            tags.update(dict.fromkeys(page))
            if not path:
                return list(tags)
        raise RegistryError(f"the registry's list of the tags of {self._repository.familiar_name} does not end")

    def _tag_page(self, answer: Answer) -> tuple[list[str], str]:
        """Return one page of the list of tags, and the path of the next one or ""."""
        with answer:
            refuse_pull(answer, self._repository)
            body, link = answer.read(LIMIT), answer.headers.get("Link", "")
        try:
            document = orjson.loads(body)
            page = document["tags"] or []
            valid = isinstance(page, list) and all(_TAG.match(tag) for tag in page)
            following = re.match(r'\s*<([^<>]*)>\s*;\s*rel="?next"?', link)
            query = urlsplit(urljoin("http://registry/", following[1])).query if following else ""
        except (ValueError, KeyError, TypeError, IndexError):
            valid = False
        if not valid:
            raise RegistryError(f"the registry's list of the tags of {self._repository.familiar_name} is nonsense")
        return page, f"tags/list?{query}" if query else ""

    def _first(
        self,
        path: str,
        headers: dict[str, str],
        use: Callable[[Answer], T],
        probe: Callable[[T], object] = lambda _: None,
        digest: Digest | None = None,
    ) -> T:
        """Return what `use` makes of the first mirror's answer that is a good one, or else of the registry's.

        A mirror that cannot be reached or answers nonsense, as `use` or `probe` find out, is asked no more. `digest` is
        that of the blob that is asked for.
        """
        path = f"/v2/{self._repository.path}/{path}"
        scope = f"repository:{self._repository.path}:pull"
        for mirror in tuple(self._mirrors):
            try:
                answer = mirror.get(path, headers, scope)
                if answer.status >= 300:
                    answer.close()
                    continue
                found = use(answer)
                probe(found)
            except (CorruptContent, NotFound, RegistryError, Unauthorized, Unsupported):
                self._drop(mirror)
                continue
            if digest is not None:
                with self._guard:
                    self._givers[digest] = mirror
            return found
        try:
            answer = self._origin.get(path, headers, scope)
        except Unauthorized as error:
            raise Unauthorized(f"{denied_pull(self._repository)}: {error}") from error
        if digest is not None:
            with self._guard:
                self._givers.pop(digest, None)
        return use(answer)

    def _drop(self, mirror: Endpoint) -> None:
        with self._guard:
            if mirror in self._mirrors:
                self._mirrors.remove(mirror)

    def _retry(self, work: Callable[[], T]) -> T:
        return retry(work, self._attempts, self._check)


def _digest(text: str) -> Digest | None:
    try:
        return Digest.parse(text)
    except InvalidParameter:
        return None


def _verify(content: bytes, digest: Digest | None) -> Digest:
    """Return the digest of content. Raises `CorruptContent` if it is another than it should be."""
    if digest is None:
        return Digest.of(content)
    if hashlib.new(digest.algorithm, content).hexdigest() != digest.hex:
        raise CorruptContent(f"verification failed for digest {digest}: the registry sent something else")
    return digest
