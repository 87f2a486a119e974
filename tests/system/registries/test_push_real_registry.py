"""Pushing to Debian's docker-registry, with other tools as judges."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.clients import TRANSOM, Clients
from testbed.daemon import Daemon
from testbed.registry import Registry
from testbed.scripted import Handler, serve_scripted


def run(*command: str | Path) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(params=["transom", "docker"])
def client(request: pytest.FixtureRequest) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Either client, against the module's daemon."""
    clients: Clients = request.getfixturevalue("daemon")
    return getattr(clients, request.param)  # type: ignore[no-any-return]


def test_a_pushed_image_is_the_one_that_was_pulled(
    daemon: Daemon,
    registry: Registry,
    named: Callable[..., str],
    raw: Callable[..., bytes],
    client: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    target = named(registry, "pushed:v1")
    shown = client("push", target).stdout
    original = raw(daemon.busybox)
    assert raw(target) == original
    digest = f"sha256:{hashlib.sha256(original).hexdigest()}"
    assert shown.splitlines()[0] == f"The push refers to repository [{registry.address}/pushed]"
    assert shown.splitlines()[-1] == f"v1: digest: {digest} size: {len(original)}"
    (image,) = json.loads(daemon.transom("inspect", target).stdout)
    assert f"{registry.address}/pushed@{digest}" in image["RepoDigests"]
    daemon.transom("rmi", target)
    daemon.transom("pull", "-q", f"{registry.address}/pushed@{digest}")
    daemon.transom("rmi", f"{registry.address}/pushed@{digest}")


def test_both_clients_print_the_same(daemon: Daemon, registry: Registry, named: Callable[..., str]) -> None:
    named(registry, "twins:latest")
    target = f"{registry.address}/twins"
    daemon.transom("push", target)
    digest = f"{target}@sha256:{64 * '0'}"
    cases = [
        *(
            ["-q", target],
            [target],
            ["-a", target],
            ["-a", f"{target}:x"],
            [f"{target}:none"],
            ["nowhere/app"],
            [digest],
        ),
        *(["--platform", value, target] for value in ("linux/amd64", "arm64", "linux/arm64", "a/b/c/d", "")),
    ]
    for flags in cases:
        found, expected = (
            (done.stdout, done.stderr, done.returncode)
            for done in (daemon.transom("push", *flags, check=False), daemon.docker("push", *flags, check=False))
        )
        assert found == expected


def test_layers_move_between_repositories_without_being_sent(
    daemon: Daemon, registry: Registry, named: Callable[..., str]
) -> None:
    shown = daemon.transom("push", named(registry, "moved/there:latest")).stdout
    assert "Mounted from " in shown or "Layer already exists" in shown
    assert "Pushed" not in shown


def test_an_image_of_dockers_schema_keeps_its_bytes(
    daemon: Daemon, registry: Registry, raw: Callable[..., bytes]
) -> None:
    original, copy = f"{registry.address}/schema2:latest", f"{registry.address}/schema2-copy:latest"
    run(
        *("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"),
        *("--format", "v2s2", f"docker://{daemon.busybox}", f"docker://{original}"),
    )
    daemon.transom("pull", "-q", original)
    daemon.transom("tag", original, copy)
    daemon.transom("push", "-q", copy)
    assert raw(copy) == raw(original)
    assert json.loads(raw(copy))["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    daemon.transom("rmi", original, copy)


def test_other_tools_read_what_was_pushed(
    daemon: Daemon, registry: Registry, named: Callable[..., str], tmp_path: Path
) -> None:
    target = named(registry, "judged:latest")
    daemon.transom("push", "-q", target)
    run("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", f"docker://{target}", f"oci:{tmp_path}/oci:it")
    run("umoci", "unpack", "--image", f"{tmp_path}/oci:it", tmp_path / "bundle")
    assert (tmp_path / "bundle/rootfs/data/from-image").read_text() == "content of the image\n"
    storage = ("--root", tmp_path / "root", "--runroot", tmp_path / "runroot", "--storage-driver", "vfs")
    container = run("buildah", *storage, "from", "--tls-verify=false", f"docker://{target}")
    root = Path(run("buildah", *storage, "mount", container))
    assert (root / "data/from-image").read_text() == "content of the image\n"
    run("buildah", *storage, "rm", container)


def test_all_tags_of_a_repository_are_pushed_and_pulled(
    daemon: Daemon, registry: Registry, named: Callable[..., str]
) -> None:
    for tag in ("one", "two"):
        named(registry, f"tags:{tag}")
    repository = f"{registry.address}/tags"
    daemon.transom("push", "--all-tags", repository)
    daemon.transom("rmi", f"{repository}:one", f"{repository}:two")
    shown = daemon.transom("pull", "--all-tags", repository).stdout
    assert shown.splitlines()[-1] == repository
    found = daemon.transom("images", "--format", "{{.Tag}}", repository).stdout.split()
    assert sorted(found) == ["one", "two"]
    daemon.transom("rmi", f"{repository}:one", f"{repository}:two")


def test_a_daemon_that_was_killed_in_the_middle_of_a_push_pushes_again(
    own_daemon: Daemon, registry: Registry, raw: Callable[..., bytes]
) -> None:
    with serve_scripted() as slow:

        def kill(handler: Handler) -> None:
            handler.take(1000)
            own_daemon.kill()
            handler.close_connection = True

        slow.script("^PATCH", kill)
        name = f"{slow.address}/app:latest"
        own_daemon.transom("tag", own_daemon.busybox, name)
        assert own_daemon.transom("push", name, check=False).returncode == 1
        own_daemon.start()
        slow.scripts.clear()
        own_daemon.transom("push", name)
        assert slow.content["/v2/app/manifests/latest"][1] == raw(own_daemon.busybox)


def test_a_client_that_goes_away_ends_the_push(own_daemon: Daemon) -> None:
    with serve_scripted() as slow:
        name = f"{slow.address}/app:latest"
        own_daemon.transom("tag", own_daemon.busybox, name)
        reached, hung_up = threading.Event(), threading.Event()

        def wait(handler: Handler) -> None:
            reached.set()
            # The daemon's end of the connection, when it hangs up.
            assert handler.rfile.read(1) == b""
            hung_up.set()
            handler.close_connection = True

        slow.script("^POST", wait)
        client = subprocess.Popen([TRANSOM, "-H", own_daemon.host, "push", name], stdout=subprocess.DEVNULL)
        assert reached.wait(30)
        client.send_signal(signal.SIGINT)
        assert client.wait(30) == 130
        assert hung_up.wait(30)
    assert "/v2/app/manifests/latest" not in slow.content
