"""Drivers of outside packages: scaffolded, installed, tested and used; and broken ones, which stop nothing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.clients import TRANSOM
from testbed.daemon import Daemon
from testbed.loop import btrfs
from testbed.registry import Registry
from testbed.site import EXAMPLE, Site

KINDS = ("graph", "exec", "volume", "network", "log")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A directory of packages: one of each kind as it was scaffolded, the example, and broken ones."""
    projects, site = tmp_path_factory.mktemp("projects"), Site(tmp_path_factory.mktemp("site"))
    for kind in KINDS:
        kit("new", kind, f"new-{kind}", str(projects / kind), code=0)
    kit("new", "volume", "leaky", str(projects / "leaky"), code=0)
    leaky = projects / "leaky" / "transom_leaky" / "driver.py"
    leaky.write_text(leaky.read_text().replace("self._volumes.remove(name)", "del name"))
    site.write("lost", "import no_such_module")
    shutil.copytree(EXAMPLE, projects / "reflink")
    site.install(projects / "log", projects / "reflink")
    for project in projects.iterdir():
        if project.name not in ("log", "reflink"):
            site.place(project)
    with site.active():
        yield site


def kit(command: str, *arguments: str, code: int) -> str:
    """Run a command of the kit, check its exit status, and return what it says."""
    done = subprocess.run([str(TRANSOM), "driver", command, *arguments], capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


#: What the others were copied from is tested elsewhere.
@pytest.mark.parametrize("kind", ["log", *(pytest.param(kind, marks=pytest.mark.exhaustive) for kind in KINDS[:-1])])
def test_a_scaffolded_driver_keeps_its_contract(site: Site, kind: str) -> None:
    said = kit("test", f"new-{kind}", code=0)
    assert f"The {kind} driver new-{kind} of transom-new-{kind} 0.1.0 keeps its contract." in said


def test_the_example_keeps_its_contract_where_files_can_share_data(site: Site, tmp_path: Path) -> None:
    assert "files in " in (said := kit("test", "reflink", code=2))
    assert "cannot share data: put the data root on XFS (reflink=1) or Btrfs" in said
    with btrfs(tmp_path) as storage:
        assert "keeps its contract." in kit("test", "reflink", "--storage", str(storage), code=0)
        assert list(storage.iterdir()) == []


def test_a_driver_that_breaks_its_contract_is_told_where(site: Site) -> None:
    said = kit("test", "leaky", code=1)
    assert "FAILED test_a_removed_volume_leaves_nothing_behind" in said
    assert "breaks its contract" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("reflnk",), "no driver is named 'reflnk'; did you mean 'reflink'?"),
        (("lost",), "Not loaded: lost (transom_lost) cannot be imported: ModuleNotFoundError: No module named"),
        (("none",), "drivers of the kinds network and log are named 'none': choose one with --kind"),
        (("vfs", "--kind", "paint"), "no drivers are of the kind 'paint': the kinds are graph, exec, volume"),
        (("vfs", "-o", "x"), "an option is written NAME=VALUE"),
    ],
)
def test_what_cannot_be_tested_is_said(site: Site, arguments: tuple[str, ...], message: str) -> None:
    assert message in kit("test", *arguments, code=2)


def test_containers_run_on_scaffolded_drivers(site: Site, tmp_path: Path, registry: Registry) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.transom("pull", "-q", registry.busybox)
        lines = daemon.transom("driver", "ls", "--format", "{{.Kind}} {{.Name}} {{.From}} {{.Status}}").stdout
        for kind in KINDS:
            assert f"{kind} new-{kind} transom-new-{kind} 0.1.0 works\n" in lines
        daemon.transom("network", "create", "-d", "new-network", "net")
        options = ("--rm", "--execdriver", "new-exec", "-v", "data:/x", "--volume-driver", "new-volume")
        more = ("--network", "host", "--log-driver", "new-log", "--graphdriver", "new-graph")
        script = ("sh", "-c", "echo of all four > /x/f; cat /x/f")
        assert daemon.transom("run", *options, *more, registry.busybox, *script).stdout == "of all four\n"
        shown = daemon.transom("run", "--rm", "--network", "net", registry.busybox, "ls", "/sys/class/net").stdout
        assert shown == "lo\n"
        daemon.transom("volume", "rm", "data")
        daemon.transom("network", "rm", "net")


ROOTS = "--data-root DIRECTORY/d --exec-root DIRECTORY/e -H unix://DIRECTORY/s"


@pytest.mark.parametrize(
    ("command", "kind", "near"),
    [
        ("run --graphdriver ovrlay IMAGE", "graph", "overlay"),
        ("create --graphdriver ovrlay IMAGE", "graph", "overlay"),
        ("run --execdriver namspaces IMAGE", "exec", "namespaces"),
        ("run --log-driver jsn-file IMAGE", "log", "json-file"),
        ("run --volume-driver locl -v data:/x IMAGE", "volume", "local"),
        ("volume create -d locl data", "volume", "local"),
        ("network create -d brige net", "network", "bridge"),
        ("driver inspect ovrlay", "", "overlay"),
        ("driver compare --image IMAGE overlay ovrlay", "graph", "overlay"),
        (f"daemon {ROOTS} --graphdriver ovrlay", "graph", "overlay"),
        (f"daemon {ROOTS} --execdriver namspaces", "exec", "namespaces"),
        (f"daemon {ROOTS} --log-driver jsn-file", "log", "json-file"),
    ],
)
def test_a_driver_that_is_misspelt_is_said_with_the_nearest_name(
    daemon: Daemon, tmp_path: Path, command: str, kind: str, near: str
) -> None:
    words = command.replace("IMAGE", daemon.busybox).replace("DIRECTORY", str(tmp_path)).split()
    failed = daemon.transom(*words, check=False)
    assert failed.returncode != 0
    assert f"did you mean '{near}'?" in failed.stderr
    assert f"no {kind} driver".replace("  ", " ") in failed.stderr
    assert daemon.transom("ps", "-aq").stdout == ""
