"""`driver compare`: workloads on real drivers, the page in a real browser, and what a crash leaves."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from testbed.browser import Browser
from testbed.clients import TRANSOM
from testbed.daemon import Daemon


def compare(daemon: Daemon, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        daemon.transom("driver", "compare", "--json", "-", *arguments, timeout=900).stdout
    )
    return found


def layers(daemon: Daemon) -> list[str]:
    """Return the names of what comparisons have made in the graph drivers."""
    return [path.name for path in daemon.data_root.glob("graph/*/bench-*")]


def test_graph_drivers_are_compared_with_a_plain_directory(daemon: Daemon, tmp_path: Path) -> None:
    page, numbers = tmp_path / "page.html", tmp_path / "numbers.json"
    shown = daemon.transom(
        "driver", "compare", "overlay", "--workload", "copy-up", "--workload", "start", "--image",
        daemon.busybox, "--runs", "1", "--html", str(page), "--json", str(numbers),
    )  # fmt: skip
    headings, start, copy_up = shown.stdout.splitlines()
    assert headings.split() == ["WORKLOAD", "MEASURE", "OVERLAY", "NATIVE", "VERDICT"]
    assert (start.split()[:2], copy_up.split()[:2]) == (["start", "start"], ["copy-up", "copy-up"])
    found = json.loads(numbers.read_text())
    assert [result["Failures"] for result in found["Results"]] == [{}, {}]
    for result in found["Results"]:
        assert {driver: len(one["Values"]) for driver, one in result["Drivers"].items()} == {
            "overlay": 1,
            "native": 1,
        }
    assert layers(daemon) == []
    assert daemon.transom("ps", "-aq").stdout == ""
    with Browser(tmp_path / "profile") as browser:
        looked_at = browser.open(page)
        assert looked_at.texts("h1") == ["graph drivers: overlay"]
        assert looked_at.texts(".plot text:first-of-type") == ["overlay", "overlay"]
        assert looked_at.texts(".verdict") == [result["Verdict"] for result in found["Results"]]
        assert looked_at.complaints() == []


def test_exec_drivers_are_compared_with_plain_processes(daemon: Daemon) -> None:
    found = compare(daemon, "--exec", "namespaces", "chroot", "--image", daemon.busybox, "--runs", "1")
    assert [result["Workload"] for result in found["Results"]] == ["start", "exec"]
    assert [result["Failures"] for result in found["Results"]] == [{}, {}]
    assert daemon.transom("ps", "-aq").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["overlau"], "no graph driver is named 'overlau'; did you mean 'overlay'?"),
        (["overlay", "--workload", "startt"], "did you mean 'start'?"),
        (["overlay", "--image", "nothing"], "No such image: nothing:latest"),
        (["overlay", "--runs", "0"], "invalid number of runs 0"),
        (["overlay", "--html", "/no/such/file"], "no such file or directory"),
        (["overlay", "--json", "/proc/numbers"], "cannot write /proc/numbers"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_any_work(daemon: Daemon, arguments: list[str], message: str) -> None:
    done = daemon.transom("driver", "compare", *arguments, check=False)
    assert (done.returncode, message in done.stderr) == (1, True)


def test_a_daemon_that_is_killed_meanwhile_leaves_nothing(own_daemon: Daemon) -> None:
    command = [str(TRANSOM), "-H", own_daemon.host, "driver", "compare", "overlay", "--workload", "metadata"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as client:
        while not layers(own_daemon):
            assert client.poll() is None
        own_daemon.kill()
        assert client.wait(60) == 1
    own_daemon.start()
    assert layers(own_daemon) == []


@pytest.mark.exhaustive
def test_every_workload_is_done_on_every_driver(daemon: Daemon) -> None:
    found = compare(daemon, "overlay", "vfs", "--image", daemon.busybox, "--runs", "1")
    assert {result["Workload"]: result["Failures"] for result in found["Results"] if result["Failures"]} == {}
