"""Other tools are the judges: they read what is saved here, and what they make is loaded here."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.daemon import Daemon
from testbed.peer import Peer
from testbed.registry import Registry

CONTENTS = [b"lower\n", b"upper\n"]


@pytest.fixture(scope="module")
def image(registry: Registry) -> str:
    """The reference of an image of three layers in the registry."""
    return registry.push_files("archived", CONTENTS)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Peer]:
    """A dockerd that has pulled the image."""
    with Peer(tmp_path_factory.mktemp("peer")) as peer:
        peer.docker("pull", "-q", image)
        yield peer


@pytest.fixture
def saved(daemon: Daemon, image: str, tmp_path: Path) -> Path:
    """The image as this engine saves it."""
    daemon.transom("pull", "-q", image)
    archive = tmp_path / "saved.tar"
    daemon.transom("save", "-o", str(archive), image)
    return archive


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[list[str]]:
    """The beginning of a command line of podman with a store of its own."""
    # Podman takes no long path for its run root.
    with tempfile.TemporaryDirectory(prefix="podman-") as short:
        yield ["podman", "--root", str(tmp_path / "root"), "--runroot", short, "--storage-driver", "vfs"]


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def shown(daemon: Daemon, image: str) -> str:
    """What a container of an image finds in it."""
    return daemon.transom("run", "--rm", image, "cat", "/file0", "/file1", "/data/from-image").stdout


def identity(daemon: Daemon | Peer, image: str) -> str:
    return daemon.docker("image", "inspect", "-f", "{{.Id}} {{json .RootFS.Layers}} {{json .Config.Env}}", image).stdout


def test_umoci_unpacks_what_is_saved(saved: Path, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    layout.mkdir()
    run("tar", "--extract", "--file", str(saved), "--directory", str(layout))
    assert run("umoci", "list", "--layout", str(layout)) == "latest\n"
    run("umoci", "unpack", "--image", f"{layout}:latest", str(tmp_path / "bundle"))
    assert (tmp_path / "bundle/rootfs/file1").read_bytes() == CONTENTS[1]


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_skopeo_copies_what_is_saved(saved: Path, registry: Registry, daemon: Daemon, image: str, form: str) -> None:
    source = f"{form}:{saved}" + (":latest" if form == "oci-archive" else "")
    copy = registry.push(source, f"copied-{form}:1")
    daemon.transom("pull", "-q", copy)
    assert identity(daemon, copy) == identity(daemon, image)


def test_a_layout_keeps_the_digest_that_the_registry_knows(saved: Path, daemon: Daemon, image: str) -> None:
    names = json.loads(daemon.transom("image", "inspect", "-f", "{{json .RepoDigests}}", image).stdout)
    inspected = json.loads(run("skopeo", "inspect", f"oci-archive:{saved}:latest"))
    assert f"{image.removesuffix(':latest')}@{inspected['Digest']}" in names


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_podman_loads_what_is_saved_and_saves_what_is_loaded(
    saved: Path, daemon: Daemon, podman: list[str], image: str, tmp_path: Path, form: str
) -> None:
    assert f"Loaded image: {image}" in run(*podman, "load", "--input", str(saved))
    expected = shown(daemon, image)
    again = tmp_path / "again.tar"
    run(*podman, "save", "--format", form, "--output", str(again), image)
    daemon.transom("rmi", "-f", image)
    assert f"Loaded image: {image}\n" in daemon.transom("load", "-i", str(again)).stdout
    assert shown(daemon, image) == expected


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_buildah_makes_is_loaded(daemon: Daemon, tmp_path: Path, form: str) -> None:
    stores = ["--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs"]
    buildah = ["buildah", *stores]
    (tmp_path / "file").write_text("made by buildah\n")
    container = run(*buildah, "from", "scratch").strip()
    run(*buildah, "copy", container, str(tmp_path / "file"), "/file")
    run(*buildah, "copy", container, "/bin/busybox", "/bin/cat")
    run(*buildah, "config", "--cmd", "/bin/cat /file", container)
    archive, name = tmp_path / "made.tar", f"localhost/made-{form}:1"
    run(*buildah, "commit", container, f"{form}:{archive}:{name}")
    run(*buildah, "rm", container)
    assert daemon.transom("load", "-i", str(archive)).stdout == f"Loaded image: {name}\n"
    assert daemon.transom("run", "--rm", name).stdout == "made by buildah\n"


def test_dockerd_loads_what_is_saved(saved: Path, daemon: Daemon, peer: Peer, image: str) -> None:
    expected = identity(daemon, image)
    peer.docker("rmi", "-f", image)
    assert peer.docker("load", "-i", str(saved)).stdout == f"Loaded image: {image}\n"
    assert identity(peer, image) == expected


def test_what_dockerd_saves_is_loaded(daemon: Daemon, peer: Peer, image: str, tmp_path: Path) -> None:
    peer.docker("pull", "-q", image)
    peer.docker("tag", image, "second:name")
    archive = tmp_path / "docker.tar"
    peer.docker("save", "-o", str(archive), image, "second:name")
    loaded = daemon.transom("load", "-i", str(archive)).stdout.splitlines()
    assert sorted(loaded) == sorted([f"Loaded image: {image}", "Loaded image: second:name"])
    assert identity(daemon, image) == identity(peer, image)
    assert shown(daemon, "second:name") == "lower\nupper\ncontent of the image\n"


def test_the_stock_client_saves_loads_and_imports(daemon: Daemon, image: str, tmp_path: Path) -> None:
    daemon.transom("pull", "-q", image)
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    daemon.docker("save", "-o", str(first), image)
    daemon.transom("save", "-o", str(second), image)
    assert first.read_bytes() == second.read_bytes()
    daemon.docker("rmi", "-f", image)
    assert daemon.docker("load", "-i", str(first)).stdout == f"Loaded image: {image}\n"
    (tmp_path / "file").write_text("imported\n")
    run("tar", "--create", "--file", str(tmp_path / "files.tar"), "--directory", str(tmp_path), "file")
    made = daemon.docker("import", "-c", "LABEL a=b", str(tmp_path / "files.tar"), "imported:1").stdout
    assert daemon.docker("image", "inspect", "-f", "{{.Id}} {{.Config.Labels.a}}", "imported:1").stdout == (
        f"{made.strip()} b\n"
    )


@pytest.mark.parametrize("compressor", ["gzip", "bzip2", "xz", "zstd"])
def test_what_compressors_make_of_an_archive_is_loaded(
    saved: Path, daemon: Daemon, image: str, compressor: str
) -> None:
    compressed = subprocess.run([compressor, "--stdout", str(saved)], check=True, capture_output=True).stdout
    assert daemon.transom("load", input=compressed).stdout == f"Loaded image: {image}\n"
