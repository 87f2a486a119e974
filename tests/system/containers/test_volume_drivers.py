"""Volumes in memory, of images, and of plugins in other processes, used by containers through the stock client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.daemon import GRAPHDRIVER, Daemon
from testbed.registry import Registry
from testbed.volume_plugin import VolumePlugin
from transom.runtime.syscalls.mounts import is_mount_point


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[Daemon]:
    """A daemon that looks for plugins in a directory of its own."""
    directory = tmp_path_factory.mktemp("daemon")
    with Daemon(directory, configuration=f'volume-plugins = ["{directory}/plugins"]\n') as daemon:
        daemon.transom("pull", "-q", registry.busybox)
        daemon.busybox = registry.busybox
        yield daemon


@pytest.fixture
def plugin(daemon: Daemon, tmp_path: Path) -> Iterator[VolumePlugin]:
    with VolumePlugin(tmp_path / "plugin", daemon.directory / "plugins" / "paint.sock") as plugin:
        yield plugin


def run(daemon: Daemon, *arguments: str) -> str:
    return daemon.docker("run", "--rm", *arguments).stdout


def inspect(daemon: Daemon, volume: str) -> dict[str, object]:
    (found,) = json.loads(daemon.docker("volume", "inspect", volume).stdout)
    return dict(found)


def test_a_volume_in_memory_outlives_containers_and_daemons(daemon: Daemon) -> None:
    daemon.docker("volume", "create", "-d", "tmpfs", "-o", "size=1m", "quick")
    run(daemon, "-v", "quick:/data", daemon.busybox, "sh", "-c", "echo kept > /data/file")
    daemon.docker("run", "-d", "--name", "user", "-v", "quick:/data", daemon.busybox, "sleep", "1000")
    daemon.kill()
    daemon.start()
    assert daemon.docker("exec", "user", "cat", "/data/file").stdout == "kept\n"
    assert "volume is in use" in daemon.docker("volume", "rm", "quick", check=False).stderr
    daemon.docker("rm", "-f", "user")
    assert run(daemon, "-v", "quick:/data", daemon.busybox, "cat", "/data/file") == "kept\n"
    place = Path(str(inspect(daemon, "quick")["Mountpoint"]))
    daemon.docker("volume", "rm", "quick")
    assert not place.exists()


@pytest.mark.parametrize("graph", [GRAPHDRIVER, "vfs"])
def test_an_image_is_a_volume_that_can_only_be_read(daemon: Daemon, graph: str) -> None:
    options = ("-o", f"image={daemon.busybox}", "-o", f"graphdriver={graph}")
    daemon.docker("volume", "create", "-d", "image", *options, "tools")
    script = "ls -d /tools/bin; touch /tools/new 2>&1 || echo refused"
    shown = run(daemon, "-v", "tools:/tools", daemon.busybox, "sh", "-c", script).split("\n")
    assert (shown[0], shown[2]) == ("/tools/bin", "refused")
    assert "Read-only file system" in shown[1]
    daemon.docker("create", "--name", "user", "-v", "tools:/tools", daemon.busybox)
    assert daemon.docker("inspect", "-f", "{{(index .Mounts 0).RW}}", "user").stdout == "false\n"
    daemon.docker("rm", "user")
    place = Path(str(inspect(daemon, "tools")["Mountpoint"]))
    assert not is_mount_point(place)
    daemon.docker("volume", "rm", "tools")


def test_a_plugin_keeps_volumes_for_containers(daemon: Daemon, plugin: VolumePlugin) -> None:
    script = ("sh", "-c", "cat /data/from-image; echo written > /data/file")
    shown = run(daemon, "--volume-driver", "paint", "-v", "wall:/data", daemon.busybox, *script)
    assert shown == "content of the image\n"
    assert (plugin.root / "wall" / "file").read_text() == "written\n"
    assert plugin.users == {"wall": set()}
    found = inspect(daemon, "wall")
    assert (found["Driver"], found["Scope"], found["Status"]) == ("paint", "global", {"users": 1})
    daemon.docker("run", "-d", "--name", "user", "-v", "wall:/data", daemon.busybox, "sleep", "1000")
    daemon.kill()
    daemon.start()
    (user,) = plugin.users["wall"]
    assert daemon.docker("inspect", "-f", "{{.Id}}", "user").stdout.strip() == user
    daemon.docker("rm", "-f", "user")
    assert plugin.users == {"wall": set()}
    daemon.docker("volume", "rm", "wall")
    assert list(plugin.root.iterdir()) == []


def test_a_plugin_is_listed_and_its_errors_are_said(daemon: Daemon, plugin: VolumePlugin) -> None:
    assert "paint" in json.loads(daemon.docker("info", "-f", "{{json .Plugins.Volume}}").stdout)
    refused = daemon.docker("volume", "create", "-d", "paint", "-o", "size=1", "wall", check=False)
    assert refused.stderr == "Error response from daemon: create wall: unknown option size\n"
    plugin.answers["VolumeDriver.Mount"] = {"Err": "wet paint"}
    refused = daemon.docker("run", "--rm", "-v", "wall:/x", "--volume-driver", "paint", daemon.busybox, check=False)
    assert f"error while mounting volume '{plugin.root}/wall': wet paint" in refused.stderr
    daemon.docker("volume", "rm", "wall")
    misspelt = daemon.docker("volume", "create", "-d", "pain", check=False)
    assert "no volume driver is named 'pain'; did you mean 'paint'?" in misspelt.stderr
