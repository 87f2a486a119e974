"""`image layers` on an image of real size: its numbers are those of the archives, and its advice is to the point."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testbed.browser import Browser
from testbed.build_cases import Tree
from testbed.clients import TRANSOM
from testbed.daemon import Daemon
from testbed.projects import DIRECTORY, WASTEFUL, Workbench
from testbed.screen import Screen

pytestmark = pytest.mark.exhaustive

#: Seconds for a build on a busy machine.
PATIENCE = 1200
HISTORY, MODEL = 3_000_000, 5_000_000


@pytest.fixture(scope="module")
def wasteful(yard: Daemon, workbench: Workbench, tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    """The daemon that has built the wasteful project, with a history and data beside its source."""
    place = tmp_path_factory.mktemp("wasteful") / "project"
    shutil.copytree(DIRECTORY / WASTEFUL, place)
    for name, size in ((".git/objects/pack", HISTORY), ("data/model.bin", MODEL)):
        path = place / name
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(index * 7 & 0xFF for index in range(1000)) * (size // 1000))
    yard.transom(*workbench.command(WASTEFUL, place=place), timeout=PATIENCE)
    return yard


@pytest.fixture(scope="module")
def report(wasteful: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(wasteful.transom("image", "layers", "--json", WASTEFUL).stdout)
    return found


@dataclass
class Counted:
    """What a layer holds, counted by the archive alone."""

    size: int
    deleted: int


def count(archive: Path) -> tuple[list[Counted], int]:
    """Return what an image's layers hold, and the bytes that a container sees."""
    tree, layers = Tree(), []
    with tarfile.open(archive) as outer:
        manifest = outer.extractfile("manifest.json")
        assert manifest is not None
        for name in json.load(manifest)[0]["Layers"]:
            member = outer.extractfile(name)
            assert member is not None
            with tarfile.open(fileobj=io.BytesIO(member.read())) as layer:
                size = sum(map(held, layer))
                before = files(tree)
                tree.apply(layer)
            layers.append(Counted(size, len(before - files(tree))))
    seen = {id(inode): inode.entry for inode in tree.inodes.values()}.values()
    return layers, sum(map(held, seen))


def held(entry: tarfile.TarInfo) -> int:
    """Return the bytes of a file, or of a symbolic link's target."""
    return len(os.fsencode(entry.linkname)) if entry.issym() else entry.size


def files(tree: Tree) -> set[str]:
    return {path for path, inode in tree.inodes.items() if not inode.entry.isdir()}


def test_the_numbers_are_those_of_the_archives(wasteful: Daemon, report: dict[str, Any], tmp_path: Path) -> None:
    wasteful.transom("save", "-o", str(tmp_path / "image.tar"), WASTEFUL, timeout=PATIENCE)
    counted, visible = count(tmp_path / "image.tar")
    layers = [step["Layer"] for step in report["Steps"] if step["Layer"]]
    assert [Counted(layer["Size"], layer["Deleted"]) for layer in layers] == counted
    assert (report["Size"], report["VisibleSize"]) == (sum(layer.size for layer in counted), visible)
    assert report["WastedSize"] == report["Size"] - visible


def test_the_advice_is_about_each_mistake(report: dict[str, Any]) -> None:
    steps = {step["Layer"]["Number"]: step["Instruction"].split(" --")[0] for step in report["Steps"] if step["Layer"]}
    found = {(advice["Kind"], steps[advice["Layer"]]): advice["Size"] for advice in report["Advice"]}
    assert found.keys() == {
        ("package-lists", "RUN apt-get update"),
        ("package-cache", "RUN apt-get update"),
        ("package-cache", "RUN apt-get install -y"),
        ("deleted-later", "COPY . /srv"),
        ("owner-changed", "RUN useradd"),
        ("version-control", "COPY . /srv"),
    }
    assert found["version-control", "COPY . /srv"] == HISTORY
    assert found["deleted-later", "COPY . /srv"] == MODEL


def test_an_efficiency_that_is_too_small_fails_a_pipeline(wasteful: Daemon, report: dict[str, Any]) -> None:
    efficiency = report["Efficiency"]
    assert wasteful.transom("image", "layers", "--fail-under", f"{efficiency}", WASTEFUL).returncode == 0
    done = wasteful.transom("image", "layers", "--fail-under", f"{efficiency + 0.01:.2f}", WASTEFUL, check=False)
    assert done.returncode == 1


def test_the_page_of_thousands_of_files_has_the_same_totals(
    wasteful: Daemon, report: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    wasteful.transom("image", "layers", "--html", str(path), WASTEFUL)
    summary = next(
        line for line in wasteful.transom("image", "layers", WASTEFUL).stdout.splitlines() if "Efficiency" in line
    )
    with Browser(tmp_path / "profile") as browser:
        page = browser.open(path)
        efficiency, size, visible, wasted = page.texts(".tiles dd")[:4]
        assert summary == f"Efficiency: {efficiency} ({size} in all layers, {visible} of it visible, {wasted} wasted)"
        assert page.texts("#shown") == [f"/ in all layers: {size} stored, {wasted} wasted"]
        page.evaluate("document.querySelector('[data-layer=\"4\"]').click()")
        assert page.texts("#map > g > text")[:1] == ["srv/"]
        assert page.complaints() == []


def test_thousands_of_files_are_walked_through_by_keys(wasteful: Daemon, report: dict[str, Any]) -> None:
    with Screen([str(TRANSOM), "-H", wasteful.host, "image", "layers", "--tui", WASTEFUL]) as shown:
        shown.wait(f"efficiency {report['Efficiency']:g}%")
        # The fourth layer by itself: what was copied.
        shown.type("\x1bOB" * 4)
        shown.wait("files: 4 added, 0 changed, 0 deleted")
        shown.type("\t\x1bOB\x1bOC")
        shown.wait("requirements.txt")
        shown.type("q")
        assert shown.end() == 0
