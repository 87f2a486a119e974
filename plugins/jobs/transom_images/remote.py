"""A file that is somewhere on the web."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
import urllib3

from transom import __version__
from transom.errors import InvalidParameter, NotFound, RegistryError
from transom.job import Job
from transom_images.transport import reason_of

__all__ = ["open_url", "whole_url"]

#: Seconds that a server may take to answer, and then between any two pieces of what it sends.
_PATIENCE = (30, 60)
#: Seconds between two reports of how much has come.
_INTERVAL = 0.1


def whole_url(source: str) -> str:
    """Return a URL with the scheme `http` where it has none. Raises `InvalidParameter` for another one."""
    url = source if "://" in source else f"http://{source}"
    if not url.lower().startswith(("http://", "https://")):
        raise InvalidParameter(f"cannot download {source}: it should begin with http:// or https://")
    return url


@contextmanager
def open_url(job: Job, url: str) -> Iterator[io.BufferedReader]:
    """Give what a GET of a URL answers, and report how much of it has come.

    Raises `InvalidParameter` for what is no URL, `NotFound` and `RegistryError` as the server answers. Reading
    raises `RegistryError` where the server stops too early.
    """
    headers = {"User-Agent": f"transom/{__version__}", "Accept-Encoding": "identity"}
    try:
        answer = requests.get(url, headers=headers, stream=True, timeout=_PATIENCE)
    except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema) as error:
        raise InvalidParameter(f"cannot download {url}: {error}") from error
    except requests.RequestException as error:
        raise RegistryError(f"cannot download {url}: {reason_of(error)}") from error
    with answer:
        if answer.status_code >= 400:
            kind = NotFound if answer.status_code in (404, 410) else RegistryError
            raise kind(f"failed to GET {url} with status {answer.status_code} {answer.reason}")
        job.progress(f"Downloading from {url}")
        yield io.BufferedReader(_Download(job, answer), 1 << 18)


class _Download(io.RawIOBase):
    """The body of an answer."""

    def __init__(self, job: Job, answer: requests.Response) -> None:
        self._job = job
        self._answer = answer
        self._total = int(answer.headers.get("Content-Length", 0) or 0)
        self._count = 0
        self._next = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._job.check()
        try:
            data = self._answer.raw.read(len(buffer), decode_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise RegistryError(f"the download of {self._answer.url} broke off: {reason_of(error)}") from error
        buffer[: len(data)] = data
        self._count += len(data)
        now = time.monotonic()
        if now >= self._next or not data:
            self._next = now + _INTERVAL
            self._job.progress("Importing", current=self._count, total=self._total or None)
        return len(data)
