"""The same small builds, made by Docker's BuildKit and by Transom: the images have the same files and say the same.

What BuildKit made is recorded (`testbed.build_recording`), and what Docker's own builder and buildah make differently.
Two of five cases are always built here, all in the exhaustive run.
"""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import io
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from testbed.build_cases import CASES, DIRECTORY, Case, Names, describe, make_context, read_recorded, recorded_version
from testbed.build_peers import BuildKit
from testbed.build_recording import PEERS, differences, open_peer, record
from testbed.daemon import Daemon
from testbed.registry import Registry
from testbed.web import Repository, Web
from transom_cli.main import main

Described = dict[str, Any]
OTHERS = [name for name in PEERS if name != BuildKit.name]


@pytest.fixture(scope="module")
def base(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base image of all cases, saved."""
    path = tmp_path_factory.mktemp("base") / "base.tar"
    registry.save_busybox(path)
    return path


@pytest.fixture(scope="module")
def names(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Names]:
    """What the cases name, and those who serve it."""
    root = tmp_path_factory.mktemp("web")
    with Web(root) as web, Repository(root) as repository:
        web.fill()
        yield Names(registry.busybox, web.url, repository.url)


def _build(daemon: Daemon, case: Case, names: Names, base: Path, directory: Path) -> Described:
    """Return what Transom makes of a case, by our command line in this process: starting it would take longer."""
    make_context(directory / "context", case, names)
    identity, archive = directory / "id", directory / "image.tar"
    said = io.StringIO()
    command = ["-H", daemon.host, "build", "--network", "host", "--progress", "plain", "--iidfile", str(identity)]
    with contextlib.redirect_stderr(said):
        code = main([*command, *case.flags(directory), str(directory / "context")])
    if code:
        return {"error": said.getvalue()}
    assert main(["-H", daemon.host, "save", "-o", str(archive), identity.read_text()]) == 0
    found: Described = json.loads(names.take(json.dumps(describe(archive, base))))
    return found


def _parameters() -> list[Any]:
    return [
        pytest.param(case, id=case.name.replace(" ", "-"), marks=pytest.mark.exhaustive if number % 5 > 1 else ())
        for number, case in enumerate(CASES)
    ]


@pytest.mark.parametrize("case", _parameters())
def test_transom_builds_what_buildkit_builds(
    daemon: Daemon, base: Path, names: Names, tmp_path: Path, case: Case
) -> None:
    expected = case.expected()
    found = _build(daemon, case, names, base, tmp_path)
    if case.error:
        assert "error" in found, found
        assert "internal error" not in found["error"]
        return
    found = {part: found.get(part) for part in expected}
    assert _lines(found) == _lines(expected), "\n".join(difflib.unified_diff(_lines(expected), _lines(found), n=0))


def test_a_case_fails_where_buildkit_fails_unless_it_says_why() -> None:
    recorded = read_recorded(BuildKit.name)
    assert list(recorded) == sorted(case.name for case in CASES)
    assert [case.name for case in CASES if case.error != ("error" in recorded[case.name]) and not case.differs] == []


@pytest.mark.parametrize("peer", OTHERS)
def test_where_others_differ_from_buildkit_there_is_a_reason(peer: str) -> None:
    reasons = tomllib.loads((DIRECTORY / "peers.toml").read_text())[peer]
    patterns = [pattern for reason in reasons for pattern in reason["cases"]]
    differ = list(read_recorded(peer))
    assert [name for name in differ if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not fnmatch.filter(differ, pattern)] == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", PEERS)
def test_a_peer_still_builds_what_is_recorded(
    name: str, registry: Registry, names: Names, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # The paths of dockerd's sockets may not be long.
    directory = tmp_path_factory.mktemp("p")
    with open_peer(name, registry, directory) as (peer, base):
        if peer.version() != (wanted := recorded_version(name)):
            pytest.skip(f"recorded was {wanted}, here is {peer.version()}: PEER_ROOT says where others are")
        found = record(CASES, peer, names, base, directory / "cases")
    reference, recorded = read_recorded(BuildKit.name), read_recorded(name)
    if name != BuildKit.name:
        told = {case: differences(reference[case], made) for case, made in found.items()}
        found = {case: difference for case, difference in told.items() if difference}
    assert _without_words(found) == _without_words(recorded)


def _without_words(cases: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what was made, and that something failed; the words may be others each time."""
    return {name: {"error": True} if "error" in made else made for name, made in cases.items()}


def _lines(described: Described) -> list[str]:
    return json.dumps(described, indent=0, ensure_ascii=False, sort_keys=True).splitlines()
