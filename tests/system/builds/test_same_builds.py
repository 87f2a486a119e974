"""The same small builds, made by Docker's BuildKit and by Transom: the images have the same files and say the same.

What BuildKit made is recorded (`testbed.build_recording`). Two of three are always built, all in the exhaustive run.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from testbed.build_cases import CASES, RECORDED, Case, describe, make_context
from testbed.build_recording import record
from testbed.daemon import Daemon
from testbed.peer import Peer
from testbed.registry import Registry
from transom_cli.main import main

Described = dict[str, Any]


@pytest.fixture(scope="module")
def base(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base image of all cases, saved."""
    path = tmp_path_factory.mktemp("base") / "base.tar"
    daemon.transom("save", "-o", str(path), daemon.busybox)
    return path


def _build(daemon: Daemon, case: Case, base: Path, directory: Path) -> Described:
    """Return what Transom makes of a case, by our command line in this process: starting it would take longer."""
    image = daemon.busybox
    make_context(directory / "context", case, image)
    identity, archive = directory / "id", directory / "image.tar"
    said = io.StringIO()
    command = ["-H", daemon.host, "build", "--network", "host", "--progress", "plain", "--iidfile", str(identity)]
    with contextlib.redirect_stderr(said):
        code = main([*command, *case.flags(directory), str(directory / "context")])
    if code:
        return {"error": said.getvalue()}
    assert main(["-H", daemon.host, "save", "-o", str(archive), identity.read_text()]) == 0
    found: Described = json.loads(json.dumps(describe(archive, base)).replace(image, "$BASE"))
    return found


def _parameters() -> list[Any]:
    return [
        pytest.param(case, id=case.name.replace(" ", "-"), marks=pytest.mark.exhaustive if number % 3 == 2 else ())
        for number, case in enumerate(CASES)
    ]


@pytest.mark.parametrize("case", _parameters())
def test_transom_builds_what_buildkit_builds(daemon: Daemon, base: Path, tmp_path: Path, case: Case) -> None:
    expected = case.expected(json.loads(RECORDED.read_text())[case.name])
    found = _build(daemon, case, base, tmp_path)
    if case.error:
        assert "error" in found, found
        assert "internal error" not in found["error"]
        return
    assert _lines(found) == _lines(expected), "\n".join(difflib.unified_diff(_lines(expected), _lines(found), n=0))


@pytest.mark.exhaustive
def test_buildkit_still_builds_what_is_recorded(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "peer").mkdir()
    (tmp_path / "cases").mkdir()
    with Peer(tmp_path / "peer") as peer:
        peer.docker("pull", "-q", registry.busybox)
        found = record(CASES, peer, registry.busybox, tmp_path / "cases")
    recorded = json.loads(RECORDED.read_text())
    assert [name for name in found if found[name] != recorded[name]] == []


def _lines(described: Described) -> list[str]:
    return json.dumps(described, indent=0, ensure_ascii=False, sort_keys=True).splitlines()
