"""The servers that a repository is at: its registry, and the registry's mirrors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from urllib.parse import urlsplit

from transom.errors import InvalidParameter
from transom.graph.reference import DEFAULT_DOMAIN
from transom.registry import Credentials
from transom_images.authentication import Authenticator
from transom_images.insecure import is_loopback
from transom_images.transport import Answer, Body, Interrupted, Transport, Unreachable

__all__ = ["Endpoint"]

_DOCKER_IO = "registry-1.docker.io"


class Endpoint:
    """One server, with the base addresses that it may have: the first that answers is the one."""

    def __init__(self, transport: Transport, bases: tuple[str, ...], credentials: Credentials | None) -> None:
        self._transport = transport
        self._bases = bases
        self._answered = False
        self.authenticator = Authenticator(transport, credentials)

    @classmethod
    def registry(cls, transport: Transport, domain: str, credentials: Credentials | None) -> Endpoint:
        """Return the registry of a domain, as references have it."""
        return cls(transport, _bases(transport, domain), credentials)

    @classmethod
    def mirror(cls, transport: Transport, address: str) -> Endpoint:
        """Return a mirror of docker.io. Credentials for docker.io are none of its business."""
        return cls(transport, (_mirror(address),), None)

    def get(self, path: str, headers: Mapping[str, str], scope: str, method: str = "GET") -> Answer:
        """Return the answer to an authenticated GET or HEAD, through redirects, whatever its status.

        A server that has answered before and cannot be reached now is `Interrupted`: it may come back.
        """
        return self._authenticated(
            scope, lambda more: self._try(path, lambda url: self._transport.get(url, {**headers, **more}, method))
        )

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        scope: str,
        body: Callable[[], Body | bytes] = bytes,
    ) -> Answer:
        """Return the answer to a request with a body, which `body` makes anew for each try. Raises as `get`.

        `target` is a path of this server, or an address that it gave; another server is not told who asks.
        """

        def once(more: Mapping[str, str]) -> Answer:
            if "://" in target:
                known = more if self._is_own(target) else {}
                return self._transport.send(method, target, {**headers, **known}, body())
            return self._try(target, lambda url: self._transport.send(method, url, {**headers, **more}, body()))

        return self._authenticated(scope, once)

    def follow(self, answer: Answer) -> str:
        """Return the address that an answer's `Location` names, in full. Raises `RegistryError`."""
        return self._transport.follow(answer.url, answer.headers.get("Location", ""))

    def _authenticated(self, scope: str, once: Callable[[Mapping[str, str]], Answer]) -> Answer:
        authorization = self.authenticator.authorization(scope)
        answer = once(_authorizing(authorization))
        if answer.status != 401:
            return answer
        challenge = answer.headers.get("WWW-Authenticate", "")
        # A server that was only redirected to is not told who asks, and names no token server that would be.
        if not challenge or not self._is_own(answer.url):
            return answer
        with ExitStack() as stack:
            stack.callback(answer.close)
            renewed = self.authenticator.renew(answer.url, challenge, scope, authorization)
            if renewed == authorization:
                # Who asks cannot be said in any other way: the answer stands.
                stack.pop_all()
                return answer
        return once(_authorizing(renewed))

    def _try(self, path: str, ask: Callable[[str], Answer]) -> Answer:
        for base in self._bases[:-1]:
            try:
                answer = ask(base + path)
            except (Unreachable, Interrupted):
                continue
            # What a TLS server says to a plain request.
            if answer.status != 400:
                return self._settle(base, answer)
            answer.close()
        base = self._bases[-1]
        try:
            return self._settle(base, ask(base + path))
        except Unreachable as error:
            if self._answered:
                raise Interrupted(str(error)) from error
            raise

    def _settle(self, base: str, answer: Answer) -> Answer:
        self._bases = (base,)
        self._answered = True
        return answer

    def _is_own(self, address: str) -> bool:
        """Whether an address is at this server."""
        parts, own = urlsplit(address), urlsplit(self._bases[0])
        return (parts.scheme, parts.netloc) == (own.scheme, own.netloc)


def _authorizing(authorization: str) -> Mapping[str, str]:
    return {"Authorization": authorization} if authorization else {}


def _bases(transport: Transport, domain: str) -> tuple[str, ...]:
    if domain == DEFAULT_DOMAIN:
        return (f"https://{_DOCKER_IO}",)
    if is_loopback(domain):
        # Plain HTTP first: on loopback nobody listens in, and small servers never answer a TLS greeting.
        return (f"http://{domain}", f"https://{domain}")
    if transport.insecure(domain):
        return (f"https://{domain}", f"http://{domain}")
    return (f"https://{domain}",)


def _mirror(address: str) -> str:
    base = address.rstrip("/") if "://" in address else f"https://{address}".rstrip("/")
    try:
        parts = urlsplit(base)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
    except ValueError:
        valid = False
    if not valid:
        raise InvalidParameter(f"the registry mirror {address!r} is not an address like https://mirror.example.com")
    return base
