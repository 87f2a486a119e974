"""Files that are somewhere on the web."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import io
import os
import posixpath
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
import urllib3

from transom import __version__
from transom.errors import InvalidParameter, NotFound, RegistryError
from transom.graph.digest import Digest

__all__ = ["Remote", "is_url", "look_at", "open_url", "save"]

#: Seconds that a server may take to answer, and then between any two pieces of what it sends.
_PATIENCE = (30, 60)
_CHUNK = 1 << 18
_SECOND = 10**9


@dataclass(frozen=True)
class Remote:
    """What a server says of a file: its name, when it was changed in nanoseconds since the epoch (0 if it does not
    say), and what changes with it (empty if it says nothing of that)."""

    url: str
    name: str
    mtime: int = 0
    validators: tuple[str, ...] = ()


def is_url(source: str) -> bool:
    """Return whether a source is something on the web."""
    return source.startswith(("http://", "https://"))


def look_at(url: str) -> Remote:
    """Return what a server says of a file without sending it. Raises `NotFound` and `RegistryError`."""
    name = unquote(posixpath.basename(urlsplit(url).path))
    with _answer(url, "HEAD") as answer:
        if answer.status_code >= 400:
            # It may not know the method.
            return Remote(url, name)
        return _remote(url, name, answer)


@contextmanager
def open_url(url: str) -> Iterator[tuple[io.BufferedReader, Remote]]:
    """Give what a GET of a URL answers, and what the server says of it.

    Raises `InvalidParameter` for what is no URL, `NotFound` and `RegistryError` as the server answers. Reading
    raises `RegistryError` where the server stops too early.
    """
    with _answer(url, "GET") as answer:
        if answer.status_code >= 400:
            kind = NotFound if answer.status_code in (404, 410) else RegistryError
            raise kind(f"invalid response status {answer.status_code} of {url}")
        name = unquote(posixpath.basename(urlsplit(url).path))
        yield io.BufferedReader(_Body(answer), _CHUNK), _remote(url, name, answer)


def save(url: str, descriptor: int, checksum: str, tell: Callable[[int], None]) -> Remote:
    """Write what is at a URL to an open file. Raises as `open_url`, and `InvalidParameter` for another digest."""
    wanted = Digest.parse(checksum) if checksum else None
    found = hashlib.new(wanted.algorithm if wanted else "sha256")
    total = 0
    with open_url(url) as (stream, remote):
        while data := stream.read1(_CHUNK):
            found.update(data)
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            total += len(data)
            tell(total)
    if wanted is not None and found.hexdigest() != wanted.hex:
        raise InvalidParameter(
            f"digest mismatch {wanted.algorithm}:{found.hexdigest()}: {checksum} was expected of {url}"
        )
    return remote


@contextmanager
def _answer(url: str, method: str) -> Iterator[requests.Response]:
    headers = {"User-Agent": f"transom/{__version__}", "Accept-Encoding": "identity"}
    try:
        answer = requests.request(method, url, headers=headers, stream=True, timeout=_PATIENCE, allow_redirects=True)
    except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema) as error:
        raise InvalidParameter(f"cannot download {url}: {error}") from error
    except requests.RequestException as error:
        raise RegistryError(f"cannot download {url}: {error}") from error
    with answer:
        yield answer


def _remote(url: str, name: str, answer: requests.Response) -> Remote:
    changed = answer.headers.get("Last-Modified", "")
    validators = tuple(value for value in (answer.headers.get("ETag", ""), changed) if value)
    mtime = 0
    with contextlib.suppress(ValueError):
        mtime = int(email.utils.parsedate_to_datetime(changed).timestamp()) * _SECOND if changed else 0
    return Remote(url, name, mtime, validators)


class _Body(io.RawIOBase):
    """The body of an answer."""

    def __init__(self, answer: requests.Response) -> None:
        self._answer = answer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._answer.raw.read(len(buffer), decode_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise RegistryError(f"the download of {self._answer.url} broke off: {error}") from error
        buffer[: len(data)] = data
        return len(data)
