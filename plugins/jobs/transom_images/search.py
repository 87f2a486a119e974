"""The job `image_search`: repositories of Docker Hub, or of another registry, by a word in their names.

Docker Hub, and registries that are like it, answer searches (Docker's index API, version 1). Others only list what they
have (`/v2/_catalog` of Docker's registry API), so the word is looked for here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit

import orjson

from transom.errors import InvalidParameter, NotFound, RegistryError, Unauthorized
from transom.graph.reference import DEFAULT_DOMAIN, split_domain
from transom.job import Job
from transom.registry import Credentials, SearchResult
from transom_images.connections import Patience
from transom_images.endpoints import Endpoint
from transom_images.manifests import LIMIT
from transom_images.retries import retry
from transom_images.transport import Answer, Interrupted, Transport

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["HUB", "image_search"]

#: Where Docker Hub answers searches; its registry is elsewhere.
HUB = "index.docker.io"

_DEFAULT_LIMIT = 25
_MOST_RESULTS = 100
_MOST_PAGES = 1000
_CATALOG_PAGE = 1000
_NEXT = re.compile(r'\s*<([^<>]*)>\s*;\s*rel="?next"?')
_TRUE, _FALSE = ("true", "1"), ("false", "0")


def image_search(
    engine: Engine,
    job: Job,
    *,
    term: str,
    limit: int = 0,
    filters: Mapping[str, tuple[str, ...]] | None = None,
    credentials: Credentials | None = None,
) -> tuple[SearchResult, ...]:
    """Return up to `limit` repositories, 25 if it is 0, whose name or description has the term, in the server's order.

    The term may begin with a registry: "registry.example:5000/term". Filters are `is-official`, `is-automated` and
    `stars`, the fewest that are wanted. Raises `InvalidParameter` for a bad term, limit or filter, `Unauthorized`,
    `RegistryError`.
    """
    accepts = _filter(filters or {})
    if not 0 <= limit <= _MOST_RESULTS:
        raise InvalidParameter(f"limit {limit} is outside the range of [1, {_MOST_RESULTS}]")
    if "://" in term or not term:
        raise InvalidParameter(f"invalid search term {term!r}: it should be a word, or HOST[:PORT]/WORD")
    domain, word = split_domain(term)
    word = word.removeprefix("library/")
    server = HUB if domain == DEFAULT_DOMAIN else domain
    with closing(Transport(Patience(job.check), engine.config)) as transport:
        source = _Source(
            Endpoint.registry(transport, server, credentials), server, engine.config.max_download_attempts, job
        )
        found = source.search(word, limit or _DEFAULT_LIMIT)
        if found is None and server != HUB:
            found = source.catalog(word, limit or _DEFAULT_LIMIT)
        if found is None:
            raise RegistryError(f"{server} does not answer searches")
    return tuple(result for result in found if accepts(result))


def _filter(filters: Mapping[str, tuple[str, ...]]) -> Callable[[SearchResult], bool]:
    """Return what the filters say of a result. Raises `InvalidParameter`."""
    for name in filters:
        if name not in ("is-automated", "is-official", "stars"):
            raise InvalidParameter(f"invalid filter '{name}'")
    official = _boolean(filters, "is-official")
    automated = _boolean(filters, "is-automated")
    stars = 0
    for text in filters.get("stars", ()):
        if not (text.isascii() and text.isdecimal() and len(text) < 19):
            raise InvalidParameter(f"invalid filter 'stars={text}'")
        stars = max(stars, int(text))
    # Nothing is built by itself any more, so nothing is automated.
    return lambda result: not automated and result.stars >= stars and (official is None or result.official is official)


def _boolean(filters: Mapping[str, tuple[str, ...]], name: str) -> bool | None:
    """Return the value of a filter that is true or false, None if it is not there."""
    values = filters.get(name, ())
    wanted = {value.lower() in _TRUE for value in values if value.lower() in (*_TRUE, *_FALSE)}
    if values and len(wanted) != 1:
        raise InvalidParameter(f"invalid filter '{name}=[{' '.join(values)}]'")
    return wanted.pop() if wanted else None


class _Source:
    """A server that is searched."""

    def __init__(self, endpoint: Endpoint, server: str, attempts: int, job: Job) -> None:
        self._endpoint = endpoint
        self._server = server
        self._attempts = attempts
        self._job = job

    def search(self, word: str, limit: int) -> list[SearchResult] | None:
        """Return what the server finds, None if it does not answer searches."""
        reply = self._ask(f"/v1/search?{urlencode({'q': word, 'n': limit})}", "")
        results = reply[0].get("results") if reply and isinstance(reply[0], dict) else None
        if not isinstance(results, list):
            return None
        return [self._result(item) for item in results if isinstance(item, dict)][:limit]

    def catalog(self, word: str, limit: int) -> list[SearchResult]:
        """Return the repositories that have the word in their names."""
        found: list[SearchResult] = []
        for name in self._repositories():
            if word in name:
                found.append(SearchResult(f"{self._server}/{name}"))
            if len(found) == limit:
                break
        return found

    def _repositories(self) -> Iterator[str]:
        path = f"/v2/_catalog?n={_CATALOG_PAGE}"
        for _ in range(_MOST_PAGES):
            reply = self._ask(path, "registry:catalog:*")
            if reply is None:
                raise NotFound(f"{self._server} neither answers searches nor lists what it has")
            document, path = reply
            names = document.get("repositories") if isinstance(document, dict) else None
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise RegistryError(f"the list of the repositories of {self._server} is nonsense")
            yield from names
            if not path:
                return
        raise RegistryError(f"the list of the repositories of {self._server} does not end")

    def _ask(self, path: str, scope: str) -> tuple[Any, str] | None:
        """Return what a path answers, parsed, and the path of the next page or ""; None if there is no such path."""

        def ask() -> tuple[Any, str] | None:
            with self._endpoint.get(path, {"X-Docker-Token": "true"}, scope) as answer:
                return self._read(answer)

        return retry(ask, self._attempts, self._job.check)

    def _read(self, answer: Answer) -> tuple[Any, str] | None:
        if answer.status >= 500 or answer.status in (408, 429):
            raise Interrupted(f"{answer.host} failed with the status {answer.status_line}")
        if answer.status in (401, 403):
            raise Unauthorized(f"{answer.host} does not let itself be searched: {answer.status_line}")
        if answer.status != 200:
            return None
        try:
            document = orjson.loads(answer.read(LIMIT))
            following = _NEXT.match(answer.headers.get("Link", ""))
            target = urlsplit(urljoin(answer.url, following[1])) if following else None
        except ValueError:
            return None
        return document, f"{target.path}?{target.query}" if target else ""

    def _result(self, item: dict[str, Any]) -> SearchResult:
        name, description, stars = item.get("name"), item.get("description"), item.get("star_count")
        prefix = "" if self._server == HUB else f"{self._server}/"
        return SearchResult(
            name=f"{prefix}{name}" if isinstance(name, str) else "",
            description=description if isinstance(description, str) else "",
            stars=stars if isinstance(stars, int) else 0,
            official=item.get("is_official") is True,
        )
