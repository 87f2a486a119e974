"""A client of one repository of a registry (OCI distribution specification, "Pull").

Docker's registry protocol, version 2, is the same for what is used here. A repository of docker.io is asked
for at the configured mirrors first.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import orjson

from transom.config import Config
from transom.errors import CorruptContent, InvalidParameter, NotFound, RegistryError, Unauthorized
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.reference import DEFAULT_DOMAIN, Reference
from transom.registry import Credentials
from transom_images.authentication import Authenticator, parse_challenges
from transom_images.connections import Patience
from transom_images.manifests import ACCEPTED, LIMIT
from transom_images.retries import Retries, parse_retry_after
from transom_images.transport import Answer, Interrupted, Transport, Unreachable

__all__ = ["Fetched", "Registry"]

_DOCKER_IO = "registry-1.docker.io"
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
        self._transport = Transport(patience, config.insecure_registries, config.max_concurrent_downloads + 1)
        self._endpoints = []
        if repository.domain == DEFAULT_DOMAIN:
            # Credentials for docker.io are none of a mirror's business.
            self._endpoints += [_Endpoint(self._transport, _mirror(mirror), None) for mirror in config.registry_mirrors]
        self._endpoints.append(_Endpoint(self._transport, self._bases(repository.domain), credentials))

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def manifest(self, reference: Reference, expected: Descriptor | None = None) -> Fetched:
        """Return the manifest of a tag or digest, whose digest and size are verified.

        `expected` is what an index says of it. Raises `CorruptContent` if it is not what its digest says.
        """
        digest = expected.digest if expected else reference.digest
        name = digest or reference.tag or ""

        def fetch() -> Fetched:
            with self._ask(f"manifests/{name}", {"Accept": ", ".join(ACCEPTED)}) as answer:
                self._refuse(answer, reference)
                content = answer.read(LIMIT)
                media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
                claimed = answer.headers.get("Docker-Content-Digest", "")
            actual = _verify(content, digest or _digest(claimed))
            if expected and len(content) != expected.size:
                raise CorruptContent(f"the manifest {digest} has {len(content)} bytes instead of {expected.size}")
            return Fetched(Descriptor(media_type, actual, len(content)), content)

        return self._retry(fetch)

    def blob(self, digest: Digest, offset: int) -> Answer:
        """Return a server's answer to the request for a blob from `offset` on: status 200, 206 or 416.

        Raises `Interrupted` for failures that may pass; to try again is the caller's part.
        """
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self._ask(f"blobs/{digest}", headers)
        try:
            if answer.status != 416 or not offset:
                self._refuse(answer, self._repository)
        except BaseException:
            answer.close()
            raise
        return answer

    def tags(self) -> list[str]:
        """Return the tags of the repository."""
        tags: dict[str, None] = {}
        path = "tags/list"
        for _ in range(_MOST_TAG_PAGES):
            page, path = self._retry(lambda path=path: self._tag_page(path))  # type: ignore[misc]
            tags.update(dict.fromkeys(page))
            if not path:
                return list(tags)
        raise RegistryError(f"the registry's list of the tags of {self._repository.familiar_name} does not end")

    def _tag_page(self, path: str) -> tuple[list[str], str]:
        """Return one page of the list of tags, and the path of the next one or ""."""
        with self._ask(path, {}) as answer:
            self._refuse(answer, self._repository)
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

    def _bases(self, domain: str) -> tuple[str, ...]:
        if domain == DEFAULT_DOMAIN:
            return (f"https://{_DOCKER_IO}",)
        if self._transport.loopback(domain):
            # Plain HTTP first: on loopback nobody listens in, and small servers never answer a TLS greeting.
            return (f"http://{domain}", f"https://{domain}")
        if self._transport.insecure(domain):
            return (f"https://{domain}", f"http://{domain}")
        return (f"https://{domain}",)

    def _ask(self, path: str, headers: dict[str, str]) -> Answer:
        """Return the first good answer of an endpoint, or else the last endpoint's."""
        path = f"/v2/{self._repository.path}/{path}"
        scope = f"repository:{self._repository.path}:pull"
        *mirrors, origin = self._endpoints
        for mirror in mirrors:
            try:
                answer = mirror.get(path, headers, scope)
            except (RegistryError, Unauthorized):
                continue
            if answer.status < 300:
                return answer
            answer.close()
        try:
            return origin.get(path, headers, scope)
        except Unauthorized as error:
            raise Unauthorized(f"{self._denied()}: {error}") from error

    def _refuse(self, answer: Answer, reference: Reference) -> None:
        """Return if the answer is a good one, or raise what it means, in Docker's words."""
        status = answer.status
        if status < 300:
            return
        code, message = _error(answer)
        if status == 429:
            retry_after = parse_retry_after(answer.headers.get("Retry-After", ""))
            raise Interrupted(f"toomanyrequests: {message or f'{answer.host} wants fewer requests'}", retry_after)
        if status >= 500 or status == 408:
            retry_after = parse_retry_after(answer.headers.get("Retry-After", ""))
            detail = f": {message}" if message else ""
            raise Interrupted(f"{answer.host} failed with status {status}{detail}", retry_after)
        name = reference.familiar_name
        if code == "MANIFEST_UNKNOWN" or (not code and status == 404 and "/manifests/" in answer.url):
            message = message or "manifest unknown"
            raise NotFound(f"manifest for {reference.familiar} not found: manifest unknown: {message}")
        if code == "NAME_UNKNOWN":
            raise NotFound(f"repository {name} not found: name unknown: {message}")
        if status in (401, 403):
            self._refuse_access(answer, code, message)
        if status == 404:
            raise NotFound(f"{answer.host} has no {urlsplit(answer.url).path}: {message or 'not found'}")
        raise RegistryError(
            f"{answer.host} answers to {answer.url} with status {status}: {message or 'no reason given'}"
        )

    def _refuse_access(self, answer: Answer, code: str, message: str) -> None:
        challenges = parse_challenges(answer.headers.get("WWW-Authenticate", ""))
        scarce = any(item.parameters.get("error") == "insufficient_scope" for item in challenges)
        if scarce or code == "DENIED" or answer.status == 403:
            reason = message if code == "DENIED" and message else "requested access to the resource is denied"
            raise NotFound(f"{self._denied()}: denied: {reason}")
        raise Unauthorized(f"{self._denied()}: unauthorized: {message or 'authentication required'}")

    def _denied(self) -> str:
        return (
            f"pull access denied for {self._repository.familiar_name}, repository does not exist or may"
            " require 'docker login'"
        )

    def _retry(self, work: Callable[[], T]) -> T:
        retries = Retries(self._attempts, self._check)
        while True:
            try:
                return work()
            except Interrupted as error:
                retries.wait(error)


class _Endpoint:
    """One server, with the base addresses that it may have: the first that answers is the one."""

    def __init__(self, transport: Transport, bases: tuple[str, ...], credentials: Credentials | None) -> None:
        self._transport = transport
        self._bases = bases
        self._answered = False
        self._authenticator = Authenticator(transport, credentials)

    def get(self, path: str, headers: dict[str, str], scope: str) -> Answer:
        """Return the answer to an authenticated request, whatever its status.

        A server that has answered before and cannot be reached now is `Interrupted`: it may come back.
        """
        authorization = self._authenticator.authorization(scope)
        answer = self._get(path, headers, authorization)
        if answer.status != 401:
            return answer
        answer.close()
        challenge = answer.headers.get("WWW-Authenticate", "")
        authorization = self._authenticator.renew(answer.url, challenge, scope, authorization)
        return self._get(path, headers, authorization)

    def _get(self, path: str, headers: dict[str, str], authorization: str) -> Answer:
        if authorization:
            headers = headers | {"Authorization": authorization}
        for base in self._bases[:-1]:
            try:
                answer = self._transport.get(base + path, headers)
            except (Unreachable, Interrupted):
                continue
            # What a TLS server says to a plain request.
            if answer.status != 400:
                return self._settle(base, answer)
            answer.close()
        base = self._bases[-1]
        try:
            return self._settle(base, self._transport.get(base + path, headers))
        except Unreachable as error:
            if self._answered:
                raise Interrupted(str(error)) from error
            raise

    def _settle(self, base: str, answer: Answer) -> Answer:
        self._bases = (base,)
        self._answered = True
        return answer


def _mirror(address: str) -> tuple[str, ...]:
    base = address.rstrip("/") if "://" in address else f"https://{address}".rstrip("/")
    try:
        parts = urlsplit(base)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
    except ValueError:
        valid = False
    if not valid:
        raise InvalidParameter(f"the registry mirror {address!r} is not an address like https://mirror.example.com")
    return (base,)


def _error(answer: Answer) -> tuple[str, str]:
    """Return code and message of a registry's error (distribution specification, "Error Codes"), or ""."""
    try:
        document = orjson.loads(answer.read(LIMIT))
        first = document["errors"][0]
        code, message = first.get("code", ""), first.get("message", "")
    except (orjson.JSONDecodeError, RegistryError, LookupError, TypeError, AttributeError):
        return "", ""
    if not isinstance(code, str) or not isinstance(message, str):
        return "", ""
    return code.upper(), message[:1000]


def _digest(text: str) -> Digest | None:
    try:
        return Digest.parse(text)
    except InvalidParameter:
        return None


def _verify(content: bytes, digest: Digest | None) -> Digest:
    """Return the digest of a manifest. Raises `CorruptContent` if it is another than it should be."""
    if digest is None:
        return Digest.of(content)
    if hashlib.new(digest.algorithm, content).hexdigest() != digest.hex:
        raise CorruptContent(f"manifest verification failed for digest {digest}: the registry sent something else")
    return digest
