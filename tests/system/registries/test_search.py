"""Searching registries, and asking them about images that are not here."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import subprocess
from collections.abc import Callable
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from testbed.daemon import Daemon
from testbed.registry import Registry
from testbed.scripted import Scripted, serve_scripted
from transom.config import Config
from transom.errors import InvalidParameter, RegistryError, TransomError
from transom.job import Job
from transom.registry import SearchResult
from transom_images import search as search_job

RESULTS = [
    {"name": "few", "description": "few\nstars", "star_count": 2, "is_official": False, "is_automated": True},
    {"name": "many", "description": "x" * 60, "star_count": 70, "is_official": True},
    {"name": "odd", "description": None, "star_count": None},
]


@pytest.fixture(scope="module")
def hub() -> Any:
    """A registry that answers searches, as Docker Hub does."""
    with serve_scripted() as registry:
        registry.script("^/v1/search", lambda handler: handler.reply(200, json.dumps({"results": RESULTS}).encode()))
        yield registry


def outcome(done: subprocess.CompletedProcess[str]) -> tuple[str, str, int]:
    return done.stdout, done.stderr, done.returncode


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--no-trunc"],
        ["--format", "{{.Name}} {{.StarCount}} {{.IsOfficial}} {{.Description}}"],
        ["--format", "table {{.Name}}\t{{.IsOfficial}}"],
        ["--format", "json"],
        ["--filter", "stars=3"],
        ["--filter", "is-official=true"],
        ["-f", "is-official=false", "-f", "stars=1"],
        ["--filter", "is-official=maybe"],
        ["--filter", "stars=many"],
        ["--filter", "colour=red"],
        ["--limit", "1"],
        ["--limit", "101"],
        ["--limit", "-1"],
    ],
)
def test_both_clients_show_the_same(daemon: Daemon, hub: Scripted, flags: list[str]) -> None:
    term = f"{hub.address}/app"
    assert outcome(daemon.transom("search", *flags, term, check=False)) == outcome(
        daemon.docker("search", *flags, term, check=False)
    )


def test_a_registry_without_searches_is_searched_by_its_list(
    daemon: Daemon, registry: Registry, named: Callable[..., str]
) -> None:
    for name in ("search/needle-one", "search/two", "search/needle-three"):
        daemon.transom("push", "-q", named(registry, name))
    shown = daemon.transom("search", "--format", "{{.Name}}", f"{registry.address}/needle").stdout.split()
    assert shown == [f"{registry.address}/search/needle-{name}" for name in ("one", "three")]
    limited = daemon.transom("search", "--limit", "1", "--format", "{{.Name}}", f"{registry.address}/needle").stdout
    assert limited.split() == [f"{registry.address}/search/needle-one"]


@pytest.mark.usefixtures("settings")
def test_a_registry_that_wants_a_password_is_searched_with_it(daemon: Daemon, locked: Registry) -> None:
    refused = daemon.transom("search", f"{locked.address}/app", check=False)
    assert (refused.returncode, refused.stderr) == (1, "Error response from daemon: no basic auth credentials\n")
    daemon.transom("login", "-u", "alice", "-p", "s3cret:with:colons", locked.address)
    assert daemon.transom("search", f"{locked.address}/app").returncode == 0


def test_docker_hub_is_asked_for_a_term_alone(monkeypatch: pytest.MonkeyPatch, hub: Scripted) -> None:
    monkeypatch.setattr(search_job, "HUB", hub.address)
    found = _search("app", limit=7)
    assert found[1] == SearchResult("many", "x" * 60, 70, official=True)
    assert hub.paths("/v1/search")[-1] == "/v1/search?q=app&n=7"


def _search(term: str, **parameters: Any) -> tuple[SearchResult, ...]:
    """Search as an engine with no configuration does."""
    engine: Any = SimpleNamespace(config=Config())
    return search_job.image_search(engine, Job(engine, "image_search", {}), term=term, **parameters)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"nonsense", "neither answers searches nor lists"),
        (b'{"repositories": 7}', "is nonsense"),
        (b'{"repositories": [7]}', "is nonsense"),
    ],
)
def test_nonsense_from_a_registry_is_an_error(answer: bytes, message: str) -> None:
    with serve_scripted() as registry:
        registry.script("^/v2/_catalog", lambda handler: handler.reply(200, answer))
        with pytest.raises(TransomError, match=message):
            _search(f"{registry.address}/app")


def test_a_list_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_job, "_MOST_PAGES", 3)
    with serve_scripted() as registry:
        link = {"Link": '</v2/_catalog?n=1&last=a>; rel="next"'}
        registry.script("^/v2/_catalog", lambda handler: handler.reply(200, b'{"repositories": ["a"]}', link))
        with pytest.raises(RegistryError, match="does not end"):
            _search(f"{registry.address}/app")


@pytest.mark.parametrize("term", ["", "https://registry.example/app"])
def test_a_term_that_cannot_be_searched_for_is_refused(term: str) -> None:
    with pytest.raises(InvalidParameter, match="invalid search term"):
        _search(term)


# Inspection from afar


def test_what_a_tag_stands_for_is_told_without_a_pull(
    daemon: Daemon, registry: Registry, raw: Callable[..., bytes]
) -> None:
    content = raw(registry.busybox)
    told = json.loads(_get(daemon, f"/distribution/{registry.busybox}/json"))
    assert told == {
        "Descriptor": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
            "size": len(content),
        },
        "Platforms": [{"architecture": "amd64", "os": "linux"}],
    }


def test_an_index_is_for_several_platforms(daemon: Daemon) -> None:
    with serve_scripted() as registry:
        digest = registry.add_index("linux/amd64", "linux/arm64/v8")
        told = json.loads(_get(daemon, f"/distribution/{registry.address}/app/json"))
    assert told["Descriptor"]["digest"] == digest
    assert told["Platforms"] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
    ]


def test_what_is_not_there_is_not_found(daemon: Daemon, registry: Registry) -> None:
    assert "not found: manifest unknown" in _get(daemon, f"/distribution/{registry.address}/nothing/json", status=404)


def _get(daemon: Daemon, path: str, status: int = 200) -> str:
    connection = http.client.HTTPConnection("daemon")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(daemon.socket))
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == status
        return answer.read().decode()
