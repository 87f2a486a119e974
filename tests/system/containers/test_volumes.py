"""Binds and volumes, through the stock client."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.daemon import GRAPHDRIVER, Daemon


@pytest.fixture(autouse=True)
def no_volume_is_left(daemon: Daemon) -> object:
    yield
    names = daemon.docker("volume", "ls", "-q").stdout.split()
    if names:
        daemon.docker("volume", "rm", *names)


def run(daemon: Daemon, *arguments: str, check: bool = True) -> str:
    return daemon.docker("run", "--rm", *arguments, check=check).stdout


def test_a_volume_outlives_containers_and_is_shared(daemon: Daemon) -> None:
    daemon.docker("volume", "create", "--label", "a=b", "pages")
    run(daemon, "-v", "pages:/srv", daemon.busybox, "sh", "-c", "echo kept > /srv/file")
    shared = ("-v", "pages:/one", "--mount", "type=volume,src=pages,dst=/two,readonly")
    script = "cat /two/file; echo more >> /one/file; touch /two/x 2>/dev/null || echo refused; wc -l < /two/file"
    assert run(daemon, *shared, daemon.busybox, "sh", "-c", script).split() == ["kept", "refused", "2"]
    (volume,) = json.loads(daemon.docker("volume", "inspect", "pages").stdout)
    assert (volume["Driver"], volume["Scope"], volume["Labels"]) == ("local", "local", {"a": "b"})
    assert (Path(volume["Mountpoint"]) / "file").read_text() == "kept\nmore\n"


@pytest.mark.parametrize("graph", [GRAPHDRIVER, "vfs"])
def test_a_new_volume_starts_with_the_images_content(daemon: Daemon, graph: str) -> None:
    options = ("--storage-opt", f"driver={graph}")
    assert (
        run(daemon, *options, "-v", "new:/data", daemon.busybox, "cat", "/data/from-image") == "content of the image\n"
    )
    run(daemon, *options, "-v", "new:/data", daemon.busybox, "rm", "/data/from-image")
    assert run(daemon, *options, "-v", "new:/data", daemon.busybox, "ls", "/data") == "from-image\n"


def test_nocopy_leaves_a_new_volume_empty(daemon: Daemon) -> None:
    assert run(daemon, "-v", "new:/data:nocopy", daemon.busybox, "ls", "/data") == ""
    assert run(daemon, "--mount", "type=volume,src=n2,dst=/data,volume-nocopy", daemon.busybox, "ls", "/data") == ""


def test_a_volume_in_use_is_not_removed(daemon: Daemon) -> None:
    daemon.docker("create", "--name", "user", "-v", "busy:/x", daemon.busybox, "true")
    refused = daemon.docker("volume", "rm", "busy", check=False)
    assert "volume is in use" in refused.stderr
    daemon.docker("rm", "user")
    assert daemon.docker("volume", "rm", "busy").stdout == "busy\n"


def test_a_bind_shows_the_machines_files(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("outside\n")
    script = "cat /x/file; echo inside > /x/new"
    assert run(daemon, "-v", f"{tmp_path}:/x", daemon.busybox, "sh", "-c", script) == "outside\n"
    assert (tmp_path / "new").read_text() == "inside\n"


def test_one_file_can_be_bound(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("just this\n")
    assert (
        run(daemon, "-v", f"{tmp_path}/file:/etc/made/here:ro", daemon.busybox, "cat", "/etc/made/here")
        == "just this\n"
    )


def test_a_short_form_makes_its_source_and_a_read_only_bind_stays_as_it_is(daemon: Daemon, tmp_path: Path) -> None:
    script = "touch /x/f 2>/dev/null || echo refused"
    assert run(daemon, "-v", f"{tmp_path}/made:/x:ro", daemon.busybox, "sh", "-c", script) == "refused\n"
    assert (tmp_path / "made").is_dir()


def test_a_directory_is_not_mounted_on_a_file(daemon: Daemon, tmp_path: Path) -> None:
    done = daemon.docker("run", "--rm", "-v", f"{tmp_path}:/etc/passwd", daemon.busybox, "true", check=False)
    assert done.returncode == 127 or done.returncode == 125 or done.returncode == 126
    assert "Are you trying to mount a directory onto a file" in done.stderr


def test_a_link_leads_no_mount_out_of_the_container(daemon: Daemon, tmp_path: Path) -> None:
    victim, bait = tmp_path / "victim", tmp_path / "bait"
    victim.mkdir()
    bait.mkdir()
    (bait / "out").symlink_to(victim)
    (bait / "up").symlink_to("../" * 30 + str(victim).lstrip("/"))
    mounts = ("-v", f"{bait}:/srv", "--tmpfs", "/srv/out/one", "--tmpfs", "/srv/up/two")
    assert run(daemon, *mounts, daemon.busybox, "ls", str(victim)) == "one\ntwo\n"
    assert list(victim.iterdir()) == []


@pytest.mark.parametrize(("propagation", "seen"), [("rslave", "later\n"), ("rshared", "later\n"), ("rprivate", "")])
def test_a_later_mount_reaches_a_container_as_far_as_asked(
    daemon: Daemon, tmp_path: Path, propagation: str, seen: str
) -> None:
    from transom.runtime.syscalls.mounts import MNT_DETACH, MS_SHARED, mount, umount2

    mount("tmpfs", tmp_path, "tmpfs", 0)
    mount("none", tmp_path, None, MS_SHARED)
    (tmp_path / "inner").mkdir()
    source = f"{tmp_path}:/x:{propagation}"
    try:
        daemon.docker("run", "-d", "--name", "watcher", "-v", source, daemon.busybox, "sleep", "100")
        mount("tmpfs", tmp_path / "inner", "tmpfs", 0)
        (tmp_path / "inner" / "file").write_text("later\n")
        shown = daemon.docker("exec", "watcher", "sh", "-c", "cat /x/inner/file 2>/dev/null", check=False).stdout
        assert shown == seen
    finally:
        daemon.docker("rm", "-f", "watcher", check=False)
        umount2(tmp_path, MNT_DETACH)
