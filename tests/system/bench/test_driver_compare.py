"""`driver compare`: workloads on real drivers, the page in a real browser, and what a crash leaves."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.browser import Browser
from testbed.clients import TRANSOM
from testbed.daemon import Daemon
from testbed.loop import btrfs
from testbed.registry import Registry
from testbed.site import EXAMPLE, Site
from testbed.waiting import wait_for
from transom_bench.workloads import GRAPH_WORKLOADS

#: Every graph driver that there is, and one of an outside package.
DRIVERS = ("overlay", "fuse", "vfs", "btrfs", "reflink")
#: Those that are done in `make test`.
SOME = ("layer", "start", "random", "metadata", "disk")


#: What would go on for longer than any test.
ENDLESS = ("--workload", "metadata", "--quick", "--runs", "100")


@pytest.fixture(scope="module")
def on_btrfs(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[Daemon]:
    """A daemon that all graph drivers work for: on Btrfs, with an outside package installed."""
    site = Site(tmp_path_factory.mktemp("site"))
    site.place(EXAMPLE)
    with btrfs(tmp_path_factory.mktemp("loop")) as file_system:
        directory = file_system / "daemon"
        directory.mkdir()
        # The daemon alone needs it.
        with Daemon(directory, wrapper=("env", f"PYTHONPATH={site.path}")) as daemon:
            daemon.transom("pull", "-q", registry.busybox)
            daemon.busybox = registry.busybox
            yield daemon


def compare(daemon: Daemon, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        daemon.transom("driver", "compare", "--json", "-", *arguments, timeout=900).stdout
    )
    return found


def layers(daemon: Daemon) -> list[str]:
    """Return the names of what comparisons have made in the graph drivers."""
    return [path.name for path in daemon.data_root.glob("graph/*/bench-*")]


def check(found: dict[str, Any], runs: int) -> None:
    """Check that every driver has done everything, so often."""
    for result in found["Results"]:
        assert result["Failures"] == {}
        # A plain directory shares nothing, so a change of it has no size.
        limit = [] if (result["Workload"], result["Measure"]) == ("disk", "change") else ["native"]
        assert {driver: len(one["Values"]) for driver, one in result["Drivers"].items()} == dict.fromkeys(
            [*found["Drivers"][:-1], *limit], runs
        )


def test_five_graph_drivers_and_a_plain_directory_on_a_page(on_btrfs: Daemon, tmp_path: Path) -> None:
    page, numbers = tmp_path / "page.html", tmp_path / "numbers.json"
    workloads = [word for name in SOME for word in ("--workload", name)]
    shown = on_btrfs.transom(
        "driver", "compare", *DRIVERS, "--quick", "--runs", "1", *workloads, "--image", on_btrfs.busybox,
        "--html", str(page), "--json", str(numbers), timeout=300,
    )  # fmt: skip
    found = json.loads(numbers.read_text())
    check(found, 1)
    assert list(dict.fromkeys(result["Workload"] for result in found["Results"])) == list(SOME)
    headings, *rows = shown.stdout.splitlines()
    assert headings.split() == ["WORKLOAD", *(name.upper() for name in (*DRIVERS, "native")), "BEST"]
    assert len(rows) == len(found["Results"])
    assert layers(on_btrfs) == []
    assert on_btrfs.transom("ps", "-aq").stdout == ""
    assert "the loop device /dev/loop" in found["Machine"]["Data root"]
    assert found["Machine"]["Driver reflink"].startswith("transom-reflink 0.1.0, btrfs on ")
    with Browser(tmp_path / "profile") as browser:
        looked_at = browser.open(page)
        assert looked_at.texts("h1") == [f"graph drivers: {', '.join(DRIVERS)}"]
        assert looked_at.texts("h2") == ["Overview", *SOME, "The machine"]
        assert looked_at.texts(".plot text:first-of-type") == [DRIVERS[0]] * len(found["Results"])
        assert looked_at.texts(".verdict") == [result["Verdict"] for result in found["Results"]]
        assert looked_at.complaints() == []


def test_exec_drivers_are_compared_with_plain_processes(daemon: Daemon) -> None:
    found = compare(daemon, "--exec", "namespaces", "chroot", "--quick", "--image", daemon.busybox, "--runs", "1")
    assert list(dict.fromkeys(result["Workload"] for result in found["Results"])) == ["start", "exec", "containers"]
    check(found, 1)
    assert daemon.transom("ps", "-aq").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["overlau"], "no graph driver is named 'overlau'; did you mean 'overlay'?"),
        (["overlay", "btrfs"], "the graph driver 'btrfs' cannot work here: "),
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


def test_an_interrupt_in_the_middle_leaves_nothing(on_btrfs: Daemon) -> None:
    command = [str(TRANSOM), "-H", on_btrfs.host, "driver", "compare", "fuse", "btrfs", *ENDLESS]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as client:
        wait_for(lambda: len(layers(on_btrfs)) > 3)
        client.send_signal(signal.SIGINT)
        assert client.wait(60) == 130
    wait_for(lambda: not layers(on_btrfs))
    assert not [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "/bench-" in line]
    # It is over for the daemon, too, which does one at a time.
    check(compare(on_btrfs, "btrfs", "--workload", "layer", "--quick", "--runs", "1"), 1)


def test_a_full_disk_ends_a_comparison_and_nothing_is_left(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(tmp_path)], check=True)
    try:
        with Daemon(tmp_path) as daemon:
            done = daemon.transom("driver", "compare", "vfs", "--workload", "unpack", check=False)
            assert (done.returncode, "no space left" in done.stderr) == (1, True)
            assert layers(daemon) == []
            check(compare(daemon, "vfs", "--workload", "unpack", "--quick", "--runs", "1"), 1)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_daemon_that_is_killed_meanwhile_leaves_nothing(own_daemon: Daemon) -> None:
    command = [str(TRANSOM), "-H", own_daemon.host, "driver", "compare", "overlay", *ENDLESS]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as client:
        while not layers(own_daemon):
            assert client.poll() is None
        own_daemon.kill()
        assert client.wait(60) == 1
    own_daemon.start()
    assert layers(own_daemon) == []


@pytest.mark.exhaustive
def test_every_workload_is_done_on_every_driver(on_btrfs: Daemon) -> None:
    found = compare(on_btrfs, *DRIVERS, "--image", on_btrfs.busybox, "--quick", "--runs", "1")
    assert {result["Workload"] for result in found["Results"]} == {workload.name for workload in GRAPH_WORKLOADS}
    check(found, 1)
