"""Drivers of outside packages: scaffolded, installed, tested and used; and broken ones, which stop nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.clients import TRANSOM
from testbed.daemon import Daemon
from testbed.loop import btrfs
from testbed.registry import Registry
from testbed.site import EXAMPLE, place

KINDS = ("graph", "exec", "volume", "network", "log")

SOUR = """
import types
from transom.drivers import {contract}

def fail(self, *arguments, **named):
    raise ZeroDivisionError("sour")

methods = {{
    name: types.FunctionType(fail.__code__.replace(co_name=name), globals()) for name in {contract}.__abstractmethods__
}}
SourDriver = type("SourDriver", ({contract},), {{**methods, "name": "{name}"}})
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory of packages: one of each kind as it was scaffolded, the example, and broken ones."""
    projects, site = tmp_path_factory.mktemp("projects"), tmp_path_factory.mktemp("site")
    for kind in KINDS:
        kit("new", kind, f"new-{kind}", str(projects / kind), code=0)
    for kind in ("graph", "volume"):
        kit("new", kind, f"sour-{kind}", str(projects / f"sour-{kind}"), code=0)
        module = projects / f"sour-{kind}" / f"transom_sour_{kind}" / "driver.py"
        module.write_text(SOUR.format(contract=f"{kind.capitalize()}Driver", name=f"sour-{kind}"))
        (module.parent / "__init__.py").write_text(
            f"from transom import hookimpl\n@hookimpl\ndef transom_{kind}drivers():\n"
            f"    from transom_sour_{kind}.driver import SourDriver\n    return [SourDriver]\n"
        )
    kit("new", "volume", "leaky", str(projects / "leaky"), code=0)
    leaky = projects / "leaky" / "transom_leaky" / "driver.py"
    leaky.write_text(leaky.read_text().replace("self._volumes.remove(name)", "del name"))
    kit("new", "log", "lost", str(projects / "lost"), code=0)
    (projects / "lost" / "transom_lost" / "__init__.py").write_text("import no_such_module\n")
    shutil.copytree(EXAMPLE, projects / "reflink")
    install(site, projects / "log", projects / "reflink")
    for project in projects.iterdir():
        if project.name not in ("log", "reflink"):
            place(site, project)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(site)
    yield site
    os.environ.pop("PYTHONPATH")
    if before is not None:
        os.environ["PYTHONPATH"] = before


def install(site: Path, *projects: Path) -> None:
    """Install projects as anybody does, without what they depend on, which is there."""
    quick = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *quick, "--target", str(site), *map(str, projects)]
    subprocess.run(command, check=True, capture_output=True)


def kit(command: str, *arguments: str, code: int) -> str:
    """Run a command of the kit, check its exit status, and return what it says."""
    done = subprocess.run([str(TRANSOM), "driver", command, *arguments], capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


#: What the others were copied from is tested elsewhere.
@pytest.mark.parametrize("kind", ["log", *(pytest.param(kind, marks=pytest.mark.exhaustive) for kind in KINDS[:-1])])
def test_a_scaffolded_driver_keeps_its_contract(site: Path, kind: str) -> None:
    said = kit("test", f"new-{kind}", code=0)
    assert f"The {kind} driver new-{kind} of transom-new-{kind} 0.1.0 keeps its contract." in said


def test_the_example_keeps_its_contract_where_files_can_share_data(site: Path, tmp_path: Path) -> None:
    assert "files in " in (said := kit("test", "reflink", code=2))
    assert "cannot share data: put the data root on XFS (reflink=1) or Btrfs" in said
    with btrfs(tmp_path) as storage:
        assert "keeps its contract." in kit("test", "reflink", "--storage", str(storage), code=0)
        assert list(storage.iterdir()) == []


def test_a_driver_that_breaks_its_contract_is_told_where(site: Path) -> None:
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
def test_what_cannot_be_tested_is_said(site: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in kit("test", *arguments, code=2)


def test_drivers_that_fail_everywhere_stop_nothing_but_their_own_jobs(
    site: Path, tmp_path: Path, registry: Registry
) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.transom("pull", "-q", registry.busybox)
        listed = daemon.transom("driver", "ls").stdout
        assert "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'" in listed
        failed = daemon.transom("volume", "create", "-d", "sour-volume", "data", check=False)
        assert failed.stderr == (
            "Error response from daemon: the volume driver 'sour-volume' failed in get: ZeroDivisionError: sour\n"
        )
        failed = daemon.transom("run", "--graphdriver", "sour-graph", registry.busybox, "true", check=False)
        assert "the graph driver 'sour-graph' failed in " in failed.stderr
        assert daemon.transom("volume", "ls", "-q").stdout == ""
        options = ("--rm", "--execdriver", "new-exec", "-v", "data:/x", "--volume-driver", "new-volume")
        more = ("--network", "host", "--log-driver", "new-log", "--graphdriver", "new-graph")
        script = ("sh", "-c", "echo of all four > /x/f; cat /x/f")
        assert daemon.transom("run", *options, *more, registry.busybox, *script).stdout == "of all four\n"
        daemon.transom("volume", "rm", "data")
