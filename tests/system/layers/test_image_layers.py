"""`image layers` on images that we made and that other tools made, and its page in a real browser."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from testbed.browser import Browser
from testbed.clients import TRANSOM
from testbed.daemon import Daemon


def report(daemon: Daemon, image: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(daemon.transom("image", "layers", "--json", image).stdout)
    return found


def test_layers_are_shown_with_what_wastes_and_advice(layers_daemon: Daemon, wasteful: Any) -> None:
    shown = layers_daemon.transom("image", "layers", wasteful.name).stdout.splitlines()
    assert [line[:9] + line[73:] for line in shown[:8]] == [
        "LAYER    CREATED BY",
        "1        ADD file:1 in /",
        '-        CMD ["sh"]',
        "2        RUN apt-get update && apt-get install git",
        "-        ENV A=<script>document.title=1</script>",
        "3        COPY . /app",
        "4        RUN chown 7 /app/data",
        "5        RUN rm -r /var/lib/apt/lists",
    ]
    # But for the size of the compressed layer, which is zlib's own affair.
    assert shown[3][:20].split()[:2] + shown[3][33:73].split() == ["2", "500kB", "2", "0", "0", "300kB"]
    assert "Efficiency: 65.21% (1.15MB in all layers, 750kB of it visible, 400kB wasted)" in shown
    assert shown[shown.index("WASTED    TIMES     STORED IN   HIDDEN BY   PATH") + 1 :][:2] == [
        "300kB     1         2           5           /var/lib/apt/lists/",
        "100kB     1         3           4           /app/data",
    ]
    advice = [line for line in shown if line.startswith("- layer")]
    assert [line.partition(": ")[0] for line in advice] == ["- layer 2, 300kB", "- layer 4, 100kB"]


def test_numbers_for_programs_add_up(layers_daemon: Daemon, wasteful: Any) -> None:
    found = report(layers_daemon, wasteful.name)
    assert (found["Size"], found["WastedSize"]) == (wasteful.size, wasteful.wasted)
    assert found["VisibleSize"] == wasteful.size - wasteful.wasted
    layers = [step["Layer"] for step in found["Steps"] if step["Layer"]]
    assert sum(layer["Size"] for layer in layers) == wasteful.size
    assert (
        sum(layer["WastedSize"] for layer in layers) == sum(layer["HidesSize"] for layer in layers) == wasteful.wasted
    )
    history = layers_daemon.transom("history", "-H=false", "--format", "{{.Size}}", wasteful.name).stdout.split()
    assert [str(step["Layer"]["Size"] if step["Layer"] else 0) for step in reversed(found["Steps"])] == history


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--fail-under", "60", "wasteful:1"], 0, ""),
        (["--fail-under", "65.22%", "wasteful:1"], 1, "the efficiency of wasteful:1 is 65.21%, less than the 65.22%"),
        (["--fail-under", "101", "wasteful:1"], 125, "it should be a number from 0 to 100"),
        (["--html", "/no/such/file", "wasteful:1"], 1, "no such file or directory"),
        (["--html", "/proc/page.html", "wasteful:1"], 1, "cannot write /proc/page.html"),
        (["--tui", "--json", "wasteful:1"], 1, "--tui cannot be used with --json"),
        (["--tui", "wasteful:1"], 1, "--tui needs a terminal"),
        (["nothing"], 1, "No such image: nothing:latest"),
    ],
)
def test_the_exit_status_says_what_is_wrong(
    layers_daemon: Daemon, arguments: list[str], status: int, message: str
) -> None:
    done = layers_daemon.transom("image", "layers", *arguments, check=False)
    assert (done.returncode, message in done.stderr) == (status, True)


def test_what_buildah_makes_is_understood(layers_daemon: Daemon, tmp_path: Path) -> None:
    stores = ["--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs"]

    def buildah(*arguments: str) -> str:
        command = ["buildah", *stores, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.strip()

    (tmp_path / "file").write_bytes(b"f" * 70_000)
    lower = buildah("from", "scratch")
    buildah("copy", lower, str(tmp_path / "file"), "/file")
    buildah("copy", lower, str(tmp_path / "file"), "/gone/file")
    buildah("commit", "--rm", lower, "lower")
    upper = buildah("from", "--pull-never", "lower")
    root = Path(buildah("mount", upper))
    (root / "gone/file").unlink()
    (root / "gone").rmdir()
    buildah("umount", upper)
    buildah("commit", "--rm", upper, f"oci-archive:{tmp_path}/made.tar:localhost/made:1")
    layers_daemon.transom("load", "-i", str(tmp_path / "made.tar"))
    found = report(layers_daemon, "localhost/made:1")
    assert (found["Size"], found["WastedSize"]) == (140_000, 70_000)
    assert [offender["Path"] for offender in found["Offenders"]] == ["/gone/"]


def test_the_page_shows_in_a_browser_what_the_daemon_says(layers_daemon: Daemon, wasteful: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    layers_daemon.transom("image", "layers", "--html", str(path), wasteful.name)
    with Browser(tmp_path / "profile") as browser:
        page = browser.open(path)
        assert page.texts("head > title") == [f"Layers of {wasteful.name}"]
        assert page.texts(".tiles dd")[:4] == ["65.21%", "1.15MB", "750kB", "400kB"]
        assert page.texts("#shown") == ["/ in all layers: 1.15MB stored, 400kB wasted"]
        assert page.texts("#map > g > text") == ["bin/", "var/", "app/"]
        # A layer by itself.
        page.evaluate("document.querySelector('[data-layer=\"3\"]').click()")
        assert page.texts("#shown") == ["/ in layer 3: 150kB stored, 100kB wasted"]
        assert page.texts("#map > g > text") == ["app/"]
        # By keys alone: into a directory, from one rectangle to the next, and up again.
        page.evaluate("document.querySelector('#map > g').focus()")
        page.press("Enter")
        assert page.texts("#shown") == ["/app/ in layer 3: 150kB stored, 100kB wasted"]
        assert page.texts("#files tbody td:first-child") == ["data", "<b>\\xff\\x1b[31m"]
        page.press("ArrowRight")
        assert "31m: 50kB, 0B wasted" in page.evaluate("document.activeElement.getAttribute('aria-label')")
        page.press("Escape")
        assert page.texts("#shown") == ["/ in layer 3: 150kB stored, 100kB wasted"]
        # What was deleted has no bytes in the layer that deletes it.
        page.evaluate("document.querySelector('[data-layer=\"5\"]').click()")
        assert page.texts("#files tbody td") == ["var/", "0B", "0B", "0", "0", "1"]
        assert page.complaints() == []


def test_layers_are_walked_through_by_keys(layers_daemon: Daemon, wasteful: Any, screen: Any) -> None:
    command = [str(TRANSOM), "-H", layers_daemon.host, "image", "layers", "--tui", wasteful.name]
    with screen(command) as shown:
        shown.wait("efficiency 65.21%, 400kB wasted")
        assert shown.line("ADD file:1").split()[:3] == ["1", "400kB", "0B"]
        assert shown.line("var/", 43).split()[:3] == ["+-", "300kB", "300kB"]
        # The third layer by itself, and into its files.
        shown.type("\x1bOB\x1bOB\x1bOB")
        shown.wait("files: 2 added, 0 changed, 0 deleted")
        shown.wait_gone("+ var/")
        shown.type("\t\x1bOB\x1bOC")
        shown.wait("<b>\\xff\\x1b[31m")
        shown.type("w")
        shown.wait_gone("<b>")
        assert shown.has("only wasted")
        shown.type("w")
        shown.wait("<b>")
        shown.type("\x1bOD")
        shown.wait_gone("<b>")
        shown.resize(20, 60)
        shown.wait_gone("COPY . /app")
        shown.type("q")
        assert shown.end() == 0
