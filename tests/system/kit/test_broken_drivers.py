"""Drivers of outside packages that fail, answer nonsense or cannot be loaded: they stop nothing but their own jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.daemon import Daemon
from testbed.registry import Registry
from testbed.site import Site

KINDS = ("graph", "exec", "volume", "network", "log")

#: A driver whose every method does the same.
UNIFORM = """
import types
from transom import hookimpl
from transom.drivers import {contract}

def fail(self, *arguments, **named):
    {body}

methods = {{
    name: types.FunctionType(fail.__code__.replace(co_name=name), globals())
    for name in ({contract}.__abstractmethods__ | set({more}))
}}
Driver = type("Driver", ({contract},), {{**methods, "name": "{name}", "__module__": __name__}})

@hookimpl
def transom_{kind}drivers():
    return [Driver]
"""

#: An exec driver that does its work, and fails in all that is asked of it meanwhile and afterwards.
LATE = """
from transom import hookimpl
from transom_namespaces.driver import NamespacesDriver

class Driver(NamespacesDriver):
    name, rank = "late", -1

    def exec(self, process, stdio):
        raise ZeroDivisionError("late")

    def processes(self):
        return ["late"]

    def stats(self):
        raise ZeroDivisionError("late")

    def delete(self):
        super().delete()
        raise ZeroDivisionError("late")

@hookimpl
def transom_execdrivers():
    return [Driver]
"""

#: A log driver that can be opened, and no more.
DEAF = """
from transom import hookimpl
from transom.drivers.log import LogDriver, LogReader, LogWriter

class Writer(LogWriter):
    def write(self, stream, data, time):
        raise ZeroDivisionError("deaf")

    def close(self):
        raise ZeroDivisionError("deaf")

class Reader(LogReader):
    def read(self):
        raise ZeroDivisionError("deaf")

class Driver(LogDriver):
    name = "deaf"

    def open(self):
        return Writer()

    def reader(self, *, since=None, tail=None):
        return Reader()

@hookimpl
def transom_logdrivers():
    return [Driver]
"""

#: What is no package of drivers: the content of its module, its entry point, and what is said of it.
BROKEN = {
    "lost": ("import no_such_module", "", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
    "gone": ("", "transom_gone_away", "cannot be imported: ModuleNotFoundError: No module named 'transom_gone_away'"),
    "bare": ("", "transom_bare:plugin", "cannot be imported: AttributeError: module 'transom_bare' has no attribute"),
    "torn": ("def (", "", "cannot be imported: SyntaxError: invalid syntax"),
    "quit": ("raise SystemExit(3)", "", "cannot be imported: SystemExit: 3"),
    "mute": ("def transom_graphdrivers(): return []", "", "it gives no hook: mark its functions with transom.hookimpl"),
    "kind": (
        "from transom import hookimpl\n@hookimpl\ndef transom_graphdriver(): return []",
        "",
        "there is no hook transom_graphdriver; did you mean transom_graphdrivers?",
    ),
    "idle": (
        "from transom import hookimpl\n@hookimpl\ndef transom_graphdrivers(): return None",
        "",
        "its hook transom_graphdrivers gives None, which is no list",
    ),
    "text": (
        "from transom import hookimpl\n@hookimpl\ndef transom_logdrivers(): return ['text']",
        "",
        "'text' is no class that derives from transom.drivers.log.LogDriver",
    ),
    "half": (
        "from transom import hookimpl\nfrom transom.drivers import GraphDriver\n"
        "class Half(GraphDriver): name = 'half'\n@hookimpl\ndef transom_graphdrivers(): return [Half]",
        "",
        "transom_half.Half lacks create, mount, parent, remove, unmount, which its contract demands",
    ),
    "wild": (
        "from transom import hookimpl\nfrom transom_bind.driver import BindDriver\n"
        "class Wild(BindDriver): name = '../wild'\n@hookimpl\ndef transom_volumedrivers(): return [Wild]",
        "",
        "transom_wild.Wild has the name '../wild', where lower-case letters, digits and hyphens should be",
    ),
    "hidden": (
        "from transom import hookimpl\nfrom transom_nolog.driver import NoLogDriver\n@hookimpl\n"
        "def transom_logdrivers():\n    class Hidden(NoLogDriver): name = 'hidden'\n    return [Hidden]",
        "",
        "is not found by this name, as shims look for it: define it in its module",
    ),
}

#: A driver that says by an error that nobody knows that it cannot work.
UNSOUND = """
from transom import hookimpl
from transom_vfs.driver import VfsDriver

class Driver(VfsDriver):
    name, rank = "unsound", 99

    @classmethod
    def probe(cls, root):
        raise ZeroDivisionError("unsound")

@hookimpl
def transom_graphdrivers():
    return [Driver]
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[Daemon]:
    """A daemon that finds all of them. At the end neither container nor volume nor network is left of the tests."""
    site = Site(tmp_path_factory.mktemp("site"))
    for kind in KINDS:
        contract, more = f"{kind.capitalize()}Driver", ["reader"] if kind == "log" else []
        for name, body in (("sour", 'raise ZeroDivisionError("sour")'), ("void", "return None")):
            words = {"kind": kind, "contract": contract, "name": f"{name}-{kind}", "body": body, "more": more}
            site.write(f"{name}-{kind}", UNIFORM.format(**words))
    for name, content in (("late", LATE), ("deaf", DEAF), ("unsound", UNSOUND)):
        site.write(name, content)
    for name, (content, point, _) in BROKEN.items():
        site.write(name, content, point)
    with site.active(), Daemon(tmp_path_factory.mktemp("daemon")) as daemon:
        daemon.transom("pull", "-q", registry.busybox)
        daemon.busybox = registry.busybox
        networks = daemon.transom("network", "ls", "-q").stdout
        yield daemon
        assert daemon.transom("ps", "-aq").stdout == daemon.transom("volume", "ls", "-q").stdout == ""
        assert daemon.transom("network", "ls", "-q").stdout == networks


def fails(daemon: Daemon, *arguments: str) -> str:
    """Run a command that fails, and return what it says."""
    done = daemon.transom(*arguments, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr


def test_what_cannot_be_loaded_is_listed_with_the_reason(daemon: Daemon) -> None:
    lines = daemon.transom("driver", "ls", "--format", "json").stdout.splitlines()
    listed = {item["Name"]: item for item in map(json.loads, lines)}
    for name, (_, _, reason) in BROKEN.items():
        assert (listed[name]["Kind"], listed[name]["From"]) == ("plugin", f"transom-{name} 0.1.0")
        assert reason in listed[name]["Status"]
    assert listed["unsound"]["Status"] == "its probe failed with ZeroDivisionError: unsound: report it to its author"
    assert listed["overlay"]["Status"] == listed["sour-exec"]["Status"] == "works"
    assert "'unsound' cannot work here" in fails(daemon, "run", "--graphdriver", "unsound", daemon.busybox, "true")


RUN = ("run", "--rm")


@pytest.mark.parametrize(
    ("arguments", "method"),
    [
        ((*RUN, "--graphdriver", "sour-graph", "IMAGE", "true"), "graph driver 'sour-graph' failed in remove"),
        ((*RUN, "--execdriver", "sour-exec", "IMAGE", "true"), "exec driver 'sour-exec' failed in create"),
        (("volume", "create", "-d", "sour-volume", "data"), "volume driver 'sour-volume' failed in get"),
        (("network", "create", "-d", "sour-network", "net"), "network driver 'sour-network' failed in create"),
        ((*RUN, "--log-driver", "sour-log", "IMAGE", "true"), "log driver 'sour-log' failed in open"),
    ],
)
def test_a_driver_that_raises_fails_its_own_job_by_name(
    daemon: Daemon, arguments: tuple[str, ...], method: str
) -> None:
    said = fails(daemon, *(daemon.busybox if word == "IMAGE" else word for word in arguments))
    assert f"the {method}: ZeroDivisionError: sour" in said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((*RUN, "--graphdriver", "void-graph", "IMAGE", "true"), "graph driver 'void-graph' failed in apply"),
        ((*RUN, "--execdriver", "void-exec", "IMAGE", "true"), "exec driver 'void-exec' failed in create"),
        ((*RUN, "--volume-driver", "void-volume", "-v", "data:/x", "IMAGE"), "volume driver 'void-volume' failed in"),
        ((*RUN, "--log-driver", "void-log", "IMAGE", "true"), "log driver 'void-log' failed in open"),
    ],
)
def test_a_driver_that_answers_nonsense_fails_its_own_job_by_name(
    daemon: Daemon, arguments: tuple[str, ...], reason: str
) -> None:
    said = fails(daemon, *(daemon.busybox if word == "IMAGE" else word for word in arguments))
    assert f"the {reason}" in said
    assert "None" in said
    if "data:/x" in arguments:  # a volume that has a name stays
        daemon.transom("volume", "rm", "data")


def test_a_container_outlives_what_its_exec_driver_fails_to_do(daemon: Daemon) -> None:
    script = "trap 'exit 7' TERM; while :; do sleep 0.01; done"
    daemon.transom("run", "-d", "--name", "late", "--execdriver", "late", daemon.busybox, "sh", "-c", script)
    for command, said in (
        (("exec", "late", "true"), "the exec driver 'late' failed in exec: ZeroDivisionError: late"),
        (("top", "late"), "the exec driver 'late' failed in processes: it returned 'late', which is no int"),
    ):
        done = daemon.transom(*command, check=False)
        assert said in done.stdout + done.stderr
    daemon.kill()
    daemon.start()
    assert daemon.transom("inspect", "-f", "{{.State.Status}}", "late").stdout == "running\n"
    daemon.transom("stop", "late")
    assert daemon.transom("wait", "late").stdout == "7\n"
    daemon.transom("rm", "late")


def test_a_container_outlives_its_log(daemon: Daemon) -> None:
    run = ("run", "--name", "deaf", "--log-driver", "deaf", daemon.busybox, "sh", "-c", "echo said; exit 5")
    done = daemon.transom(*run, check=False)
    assert (done.returncode, done.stdout) == (5, "said\n")
    assert fails(daemon, "logs", "deaf") == (
        "error from daemon in stream: Error grabbing logs: the reader of logs transom_deaf.Reader failed in read:"
        " ZeroDivisionError: deaf\n\n"
    )
    daemon.transom("rm", "deaf")


def test_the_daemon_comes_and_goes_with_them(daemon: Daemon) -> None:
    daemon.kill()
    daemon.start()
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.transom("run", "--rm", daemon.busybox, "echo", "works").stdout == "works\n"


def test_two_packages_that_claim_one_driver_are_both_named(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    site.path.mkdir()
    site.write("twin", UNSOUND.replace('"unsound", 99', '"overlay", 99'))
    with site.active(), pytest.raises(AssertionError, match="the daemon did not start") as failure, Daemon(tmp_path):
        pass
    assert ("transom: two plugins claim the graph driver 'overlay': overlay (transom_overlay of transom") in str(
        failure.value
    )
