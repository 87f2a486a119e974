"""Answers of registries that nobody foresaw: each is understood or refused, and never anything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.config import Config
from transom.errors import TransomError
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.reference import Reference
from transom.job import Job
from transom_images.connections import Patience
from transom_images.destination import Destination, Session
from transom_images.search import image_search
from transom_images.transport import Transport

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)
ADDRESSES = st.sampled_from(["/next", "http://[", "https://elsewhere/x?y", "//", "ftp://a/", "http://127.0.0.1:1/v2/"])
RANGES = st.sampled_from(["0-0", "0-7", "bytes=0-9", "0-99999999999999999999", "7-3", "0--1"])
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Location": TEXT | ADDRESSES,
        "Range": TEXT | RANGES,
        "Retry-After": TEXT | st.just("0"),
        "WWW-Authenticate": TEXT
        | st.sampled_from(['Basic realm="x"', 'Bearer realm="http://x/"', "Bearer", 'Bearer a="']),
        "Docker-Content-Digest": TEXT | st.just("sha256:" + 64 * "0"),
        "Link": TEXT | st.sampled_from(['<>; rel="next"', '<http://[>; rel="next"', '</v2/_catalog?n=1>; rel="next"']),
    },
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["errors", "code", "message", "results", "repositories", "name", "star_count", "token", "details"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
BODIES = st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode())
STATUSES = st.sampled_from([200, 201, 202, 204, 206, 302, 307, 400, 401, 403, 404, 413, 416, 429, 500, 599])
ANSWERS = st.lists(st.tuples(STATUSES, HEADERS, BODIES), min_size=1, max_size=4)
DIGEST = Digest.of(b"x")
STEPS: list[Callable[[Destination], object]] = [
    lambda target: target.has_blob(DIGEST),
    lambda target: target.begin(),
    lambda target: target.mount(DIGEST, "other"),
    lambda target: target.ask(Session("http://127.0.0.1:5000/v2/app/blobs/uploads/1", 3)),
    lambda target: target.finish(Session("http://127.0.0.1:5000/v2/app/blobs/uploads/1"), DIGEST),
    lambda target: target.put_manifest("latest", Descriptor("application/json", DIGEST, 1), b"x"),
]


class Scripted:
    """Gives the answers one after the other, the last one for ever, in place of the network."""

    def __init__(self, answers: list[tuple[int, dict[str, str], bytes]]) -> None:
        self._answers = answers

    def __call__(self, method: str, url: str, *_: object) -> Any:
        status, headers, body = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return _Answer(method, url, status, headers, body)


class _Answer:
    def __init__(self, method: str, url: str, status: int, headers: dict[str, str], body: bytes) -> None:
        self.method, self.url, self.status, self.headers, self._body = method, url, status, headers, body
        self.host, self.status_line = "127.0.0.1:5000", str(status)

    def read(self, _limit: int) -> bytes:
        return self._body

    def close(self) -> None:
        pass

    def __enter__(self) -> _Answer:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True, scope="module")
def nobody_waits() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transom_images.retries._FIRST_DELAY", 0)
        patch.setattr("transom_images.retries._MOST_PATIENCE", -1)
        yield


@given(ANSWERS, st.sampled_from(STEPS))
def test_a_step_of_a_push_bears_any_answer(
    answers: list[tuple[int, dict[str, str], bytes]], step: Callable[[Destination], object]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transport, "send", Scripted(answers))
        target = Destination(Reference.parse("127.0.0.1:5000/app"), Config(), None, Patience(lambda: None))
        with suppress(TransomError):
            step(target)
        target.close()


@given(ANSWERS)
def test_a_search_bears_any_answer(answers: list[tuple[int, dict[str, str], bytes]]) -> None:
    engine: Any = SimpleNamespace(config=Config())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transport, "send", Scripted(answers))
        patch.setattr("transom_images.search._MOST_PAGES", 3)
        with suppress(TransomError):
            image_search(engine, Job(engine, "image_search", {}), term="127.0.0.1:5000/a")
