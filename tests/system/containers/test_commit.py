"""Images of what containers have become: what is in them, what they say, and what a crash leaves."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from testbed.clients import TRANSOM
from testbed.daemon import GRAPHDRIVER, Daemon
from testbed.registry import Registry
from testbed.waiting import wait_for

PAIRS = [(graph, execution) for graph in (GRAPHDRIVER, "vfs") for execution in ("namespaces", "chroot")]
WORK = "echo new > /data/new; rm /data/from-image; chmod 700 /tmp; ln -s new /data/link; mkdir -p /a/b; touch /ready"


@pytest.fixture(autouse=True)
def nothing_stays(daemon: Daemon) -> Iterator[None]:
    yield
    containers = daemon.transom("ps", "-aq").stdout.split()
    if containers:
        daemon.transom("rm", "-fv", *containers)
    images = set(daemon.transom("images", "-aq", "--no-trunc").stdout.split()) - {identity(daemon, daemon.busybox)}
    for image in images:
        daemon.transom("rmi", "-f", image, check=False)


def identity(daemon: Daemon, image: str) -> str:
    return daemon.transom("inspect", "--type", "image", "-f", "{{.Id}}", image).stdout.strip()


def run(daemon: Daemon, *options: str, script: str = f"{WORK}; sleep 1000") -> str:
    """Start a container that does its work, and return its ID when that is done."""
    container = daemon.transom(
        "run", "-d", "--network", "host", *options, daemon.busybox, "sh", "-c", script
    ).stdout.strip()
    daemon.transom("exec", container, "sh", "-c", "while [ ! -e /ready ]; do sleep 0.01; done")
    return container


def inspect(daemon: Daemon, name: str) -> dict[str, Any]:
    [found] = json.loads(daemon.transom("inspect", name).stdout)
    return dict(found)


@pytest.mark.parametrize(("graph", "execution"), PAIRS)
def test_an_image_has_what_the_container_changed(daemon: Daemon, graph: str, execution: str) -> None:
    container = run(daemon, "--graphdriver", graph, "--execdriver", execution)
    daemon.transom("commit", container, "committed")
    look = "cat /data/link; ls /data; stat -c %a /tmp; ls -d /a/b /ready; ls /proc | head -1"
    for driver in (GRAPHDRIVER, "vfs"):
        shown = daemon.transom(
            "run",
            "--rm",
            "--network",
            "host",
            "--graphdriver",
            driver,
            "--execdriver",
            execution,
            "committed",
            "sh",
            "-c",
            look,
        ).stdout
        assert shown.split()[:7] == ["new", "link", "new", "700", "/a/b", "/ready", "1"]


def test_an_image_says_what_its_container_was_told(daemon: Daemon) -> None:
    options = ("-e", "A=b", "-l", "x=y", "-u", "alice", "-w", "/tmp", "--expose", "80", "--stop-signal", "INT")
    created = daemon.transom("create", *options, "-v", "/vol", daemon.busybox, "echo", "hello").stdout.strip()
    image = daemon.transom("commit", "-a", "me", "-m", "why", created, "said:1").stdout.strip()
    found = inspect(daemon, "said:1")
    parent = inspect(daemon, daemon.busybox)
    config = found["Config"]
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("alice", "/tmp", "INT")
    assert config["Env"][0] == "A=b"
    assert (config["Labels"]["x"], config["Labels"]["maker"]) == ("y", "umoci")
    assert (list(config["ExposedPorts"]), list(config["Volumes"])) == (["80/tcp"], ["/vol"])
    assert config["Cmd"] == ["echo", "hello"]
    assert (found["Id"], found["Author"], found["Comment"], found["Parent"]) == (image, "me", "why", parent["Id"])
    assert found["RepoTags"] == ["said:1"]
    history = daemon.transom("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}|{{.Size}}", image).stdout
    assert history.splitlines()[0] == "echo hello|why|0B"


@pytest.mark.parametrize("graph", [GRAPHDRIVER, "vfs"])
def test_a_container_that_changed_nothing_gives_no_layer(daemon: Daemon, graph: str) -> None:
    container = daemon.transom("create", "--graphdriver", graph, daemon.busybox, "true").stdout.strip()
    daemon.transom("start", "-a", container)
    daemon.transom("commit", container, "same")
    assert inspect(daemon, "same")["RootFS"] == inspect(daemon, daemon.busybox)["RootFS"]


def test_what_is_in_mounts_is_not_in_the_image(daemon: Daemon, tmp_path: Path) -> None:
    options = ("-v", "/volume", "-v", f"{tmp_path}:/bind", "--tmpfs", "/scratch")
    script = "for place in volume bind scratch; do echo x > /$place/file; done; touch /ready; sleep 1000"
    container = run(daemon, *options, script=script)
    daemon.transom("commit", container, "mounted")
    shown = daemon.transom(
        "run", "--rm", "mounted", "find", "/bind", "/scratch", "/etc/hosts", "-type", "f", "-size", "+0"
    )
    assert "/bind" not in shown.stdout
    assert "/scratch" not in shown.stdout


def test_a_running_container_is_paused_meanwhile_unless_that_is_refused(daemon: Daemon) -> None:
    container = run(daemon)
    since = str(time.time())
    daemon.transom("commit", container)
    daemon.transom("commit", "--pause=false", container)
    until = str(time.time())
    events = daemon.transom(
        "events", "--since", since, "--until", until, "-f", f"container={container}", "--format", "{{.Action}}"
    )
    assert events.stdout.split() == ["pause", "commit", "unpause", "commit"]
    assert inspect(daemon, container)["State"]["Status"] == "running"


def test_a_paused_container_stays_paused(daemon: Daemon) -> None:
    container = run(daemon)
    daemon.transom("pause", container)
    daemon.transom("commit", container)
    assert inspect(daemon, container)["State"]["Status"] == "paused"
    daemon.transom("unpause", container)


def test_changes_make_the_image_something_else(daemon: Daemon) -> None:
    container = run(daemon, "-e", "A=b")
    changes = ['CMD ["cat", "/data/new"]', "ENV C=$A", "LABEL l=m", "USER nobody", "WORKDIR /data"]
    options = [word for change in changes for word in ("-c", change)]
    daemon.transom("commit", *options, container, "changed")
    assert daemon.transom("run", "--rm", "changed").stdout == "new\n"
    assert daemon.transom("run", "--rm", "changed", "sh", "-c", "echo $C; pwd; id -u").stdout.split() == [
        "b",
        "/data",
        "65534",
    ]


def test_a_refusal_leaves_nothing(daemon: Daemon) -> None:
    container = run(daemon)
    before = daemon.transom("images", "-aq").stdout
    for arguments in (("-c", "RUN x", container), (container, "UPPER"), ("nosuch",)):
        assert daemon.transom("commit", *arguments, check=False).returncode == 1
    assert daemon.transom("images", "-aq").stdout == before
    assert inspect(daemon, container)["State"]["Status"] == "running"


def test_an_image_is_committed_from_an_image_that_was_committed(daemon: Daemon) -> None:
    for number in range(3):
        image = daemon.busybox if not number else f"step{number}"
        container = daemon.transom("create", image, "sh", "-c", f"echo {number} >> /steps").stdout.strip()
        daemon.transom("start", "-a", container)
        daemon.transom("commit", container, f"step{number + 1}")
    assert daemon.transom("run", "--rm", "step3", "cat", "/steps").stdout.split() == ["0", "1", "2"]
    assert (
        len(inspect(daemon, "step3")["RootFS"]["Layers"])
        == len(inspect(daemon, daemon.busybox)["RootFS"]["Layers"]) + 3
    )


def test_many_commit_one_container_at_once(daemon: Daemon) -> None:
    container = run(daemon)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: daemon.transom("commit", container, f"at-once:{number}"), range(8)))
    assert inspect(daemon, container)["State"]["Status"] == "running"
    layers = {tuple(inspect(daemon, f"at-once:{number}")["RootFS"]["Layers"]) for number in range(8)}
    assert len(layers) == 1


def test_other_tools_know_the_image(daemon: Daemon, registry: Registry, tmp_path: Path) -> None:
    container = run(daemon)
    name = f"{registry.address}/committed:latest"
    daemon.transom("commit", "-c", 'CMD ["cat", "/data/new"]', container, name)
    daemon.docker("push", "-q", name)
    layout = tmp_path / "layout"
    _run("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{layout}:c")
    _run("umoci", "unpack", "--image", f"{layout}:c", str(tmp_path / "bundle"))
    rootfs = tmp_path / "bundle" / "rootfs"
    assert (rootfs / "data" / "new").read_text() == "new\n"
    assert not (rootfs / "data" / "from-image").exists()
    assert not (rootfs / "etc" / "hosts").exists()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("moment", range(3))
def test_a_daemon_that_is_killed_leaves_the_container_running_and_no_image(own_daemon: Daemon, moment: int) -> None:
    script = "dd if=/dev/urandom of=/big bs=1M count=24 2>/dev/null; touch /ready; sleep 1000"
    container = run(own_daemon, script=script)
    images = own_daemon.transom("images", "-aq").stdout
    blobs = _blobs(own_daemon)
    committing = subprocess.Popen(
        [str(TRANSOM), "-H", own_daemon.host, "commit", container, "half"], stderr=subprocess.DEVNULL
    )
    held = own_daemon.exec_root / "shims" / inspect(own_daemon, container)["Id"] / "held"
    ingest = own_daemon.data_root / "content" / "ingest"
    # It may be over before this one has looked.
    wait_for(lambda: committing.poll() is not None or held.exists())
    wait_for(lambda: committing.poll() is not None or not moment or any(ingest.iterdir()))
    time.sleep(0.15 * moment)
    own_daemon.kill()
    made = committing.wait() == 0
    own_daemon.start()
    assert inspect(own_daemon, container)["State"]["Status"] == "running"
    assert own_daemon.transom("exec", container, "echo", "alive").stdout == "alive\n"
    if not made and own_daemon.transom("images", "-aq").stdout == images:
        assert _blobs(own_daemon) == blobs
    assert list((own_daemon.data_root / "content" / "ingest").iterdir()) == []
    own_daemon.transom("commit", container, "whole")
    look = own_daemon.transom("run", "--rm", "whole", "stat", "-c", "%s", "/big").stdout
    assert int(look) == 24 << 20


def _blobs(daemon: Daemon) -> set[str]:
    return {path.name for path in (daemon.data_root / "content" / "blobs" / "sha256").iterdir()}
