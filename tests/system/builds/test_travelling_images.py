"""Images that are made here run on Docker and Podman, and what Docker's builders and buildah build runs here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest

from testbed.clients import Clients
from testbed.daemon import Daemon
from testbed.host import CGROUP_PARENT, groups_named
from testbed.peer import Peer
from testbed.registry import Registry

#: An image that says all that an image can say.
TELLING = """\
FROM {base}
RUN echo one > /one && mkdir /d && echo x > /d/gone && chmod 4755 /one && ln /one /same
RUN rm -r /d && ln -s one /link
ENV A=b C="d e"
LABEL l=m n.o="p q"
EXPOSE 80 53/udp
VOLUME /vol /other
STOPSIGNAL SIGINT
HEALTHCHECK --interval=7s --timeout=3s --start-period=2s --retries=4 CMD echo well
ONBUILD RUN echo triggered
SHELL ["/bin/sh", "-ec"]
USER alice:users
WORKDIR /data/sub
ENTRYPOINT ["sh", "-c"]
CMD ["cat /one /link; stat -c '%a %h' /same; id -u; pwd; echo $A; ls -d /d 2>&1; true"]
"""
SAID = "one\none\n4755 2\n1000\n/data/sub\nb\nls: /d: No such file or directory\n"

#: One that wastes 70,000 bytes.
WASTEFUL = """\
FROM {base}
ARG OF=/gone
RUN echo one > /one && head -c 70000 /dev/zero > $OF
ENV A="b c"
RUN rm /gone
LABEL l=m
COPY file /copied/
CMD ["cat", "/one", "/copied/file"]
"""

#: What Docker's image inspection tells of a configuration, without what only containers have.
FIELDS = (
    "Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "OnBuild", "StopSignal", "User", "Volumes",
    "WorkingDir",
)  # fmt: skip


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[Peer]:
    """A dockerd that has busybox."""
    with Peer(tmp_path_factory.mktemp("peer")) as peer:
        peer.docker("pull", "-q", registry.busybox)
        yield peer


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A context with a file."""
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "file").write_text("copied\n")
    return directory


def inspected(engine: Clients, image: str) -> dict[str, Any]:
    [found] = json.loads(engine.docker("image", "inspect", image).stdout)
    return dict(found)


def config(engine: Clients, image: str) -> dict[str, Any]:
    """Return what an engine says of an image's containers."""
    return {name: inspected(engine, image)["Config"].get(name) for name in FIELDS}


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def pushed(daemon: Daemon, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image that was built here and is in the registry."""
    directory = tmp_path_factory.mktemp("telling")
    (directory / "Dockerfile").write_text(TELLING.format(base=daemon.busybox))
    name = f"{registry.address}/telling:1"
    daemon.transom("build", "-t", name, "--push", str(directory))
    daemon.transom("build", "-t", name, str(directory))
    return name


def test_docker_pulls_and_runs_what_is_built_here(daemon: Daemon, peer: Peer, pushed: str) -> None:
    peer.docker("pull", "-q", pushed)
    assert peer.docker("run", "--rm", "--network", "none", pushed).stdout == SAID
    assert config(peer, pushed) == config(daemon, pushed)
    assert inspected(peer, pushed)["RootFS"] == inspected(daemon, pushed)["RootFS"]
    assert inspected(peer, pushed)["Id"] == inspected(daemon, pushed)["Id"]


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[list[str]]:
    """The beginning of a command line of podman with a store of its own."""
    group = f"{CGROUP_PARENT}-podman"
    # Podman takes no long path for its run root.
    with tempfile.TemporaryDirectory(prefix="podman-") as short:
        stores = ["--root", str(tmp_path / "root"), "--runroot", short, "--storage-driver", "vfs"]
        # crun does not take cgroups of both versions at once.
        yield ["podman", *stores, "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
    for left in groups_named(group):
        for below, _, _ in os.walk(left, topdown=False):
            Path(below).rmdir()


def test_podman_pulls_and_runs_what_is_built_here(daemon: Daemon, pushed: str, podman: list[str]) -> None:
    run(*podman, "pull", "--quiet", "--tls-verify=false", pushed)
    options = ["--rm", "--network", "none", "--cgroup-parent", f"{CGROUP_PARENT}-podman"]
    # Where the tests may not raise limits, podman's own would be refused.
    limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
    assert run(*podman, "run", *options, *limits, pushed) == SAID
    [found] = json.loads(run(*podman, "image", "inspect", pushed))
    assert found["Id"] == inspected(daemon, pushed)["Id"].removeprefix("sha256:")
    assert found["Config"]["Labels"] == config(daemon, pushed)["Labels"]


@pytest.mark.exhaustive
def test_buildah_builds_on_what_is_built_here(daemon: Daemon, pushed: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {pushed}\nUSER root\nRUN cat /link > /read\n")
    archive = _buildah(tmp_path, tmp_path, "docker")
    daemon.transom("load", "-i", str(archive))
    assert daemon.transom("run", "--rm", "localhost/made:1", "cat /read").stdout == "one\n"
    # It has heard the trigger.
    assert "triggered" in (tmp_path / "said").read_text()


#: What a container is told beside its image, and what a commit changes.
COMMITS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"environment": ["A=z", "NEW=1"], "labels": {"l": "x", "k": "v"}, "user": "nobody", "working_dir": "/tmp"}, []),
    ({"ports": [99], "volumes": ["/more"], "stop_signal": "TERM", "entrypoint": ["cat"]}, []),
    ({"healthcheck": {"test": ["CMD", "true"], "interval": 9_000_000_000}}, []),
    ({"healthcheck": {"test": ["NONE"]}}, []),
    ({}, ['CMD ["one"]', 'ENTRYPOINT ["x"]']),
    ({}, ['ENTRYPOINT ["y"]']),
    ({}, ["HEALTHCHECK NONE", "ENV A= D=$A", "LABEL l=", "USER 5:6", "WORKDIR relative"]),
    ({}, ["HEALTHCHECK --retries=9 CMD x", "ONBUILD ENV X=$A", "VOLUME /vol /third", "EXPOSE 80/tcp 1000-1002"]),
]


def test_a_commit_says_what_dockers_says(daemon: Daemon, peer: Peer, pushed: str) -> None:
    def committed(engine: Clients) -> list[dict[str, Any]]:
        if engine is peer:
            peer.docker("pull", "-q", pushed)
        with closing(docker.DockerClient(base_url=engine.host)) as client:
            found = []
            for options, changes in COMMITS:
                container = client.api.create_container(pushed, **options)["Id"]
                image = client.api.commit(container, changes=changes, author="me", message="why")["Id"]
                said = client.api.inspect_image(image)
                config = {name: said["Config"].get(name) for name in FIELDS}
                found.append({**config, "Author": said["Author"], "Comment": said["Comment"]})
                client.api.remove_container(container, v=True)
        return found

    for ours, theirs in zip(committed(daemon), committed(peer), strict=True):
        assert ours == theirs


def _buildah(context: Path, directory: Path, form: str, *options: str) -> Path:
    """Build with buildah, and return the archive of the image `localhost/made:1`."""
    stores = ["--root", str(directory / "root"), "--runroot", str(directory / "run"), "--storage-driver", "vfs"]
    # fmt: off
    said = run(
        "buildah", *stores, "build", "--isolation", "chroot", "--network", "host", "--tls-verify=false", "--layers",
        "--format", form, "--tag", "localhost/made:1", *options, str(context),
    )
    # fmt: on
    (directory / "said").write_text(said)
    archive = directory / "made.tar"
    kind = {"oci": "oci-archive", "docker": "docker-archive"}[form]
    run("buildah", *stores, "push", "localhost/made:1", f"{kind}:{archive}:localhost/made:1")
    return archive


def _made_by(maker: str, peer: Peer, context: Path, directory: Path) -> Path:
    """Return the archive of an image `localhost/made:1` that somebody else has built."""
    if maker.startswith("buildah"):
        return _buildah(context, directory, maker.partition(" ")[2])
    # Debian's client speaks to BuildKit without a plugin.
    environment = {**os.environ, **peer.environment(), "DOCKER_BUILDKIT": "1" if maker == "BuildKit" else "0"}
    command = ["/usr/bin/docker", "build", "--network", "host", "--tag", "localhost/made:1", str(context)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    archive = directory / "made.tar"
    peer.docker("save", "-o", str(archive), "localhost/made:1")
    return archive


@pytest.mark.parametrize(
    "maker",
    [
        "BuildKit",
        "buildah oci",
        pytest.param("buildah docker", marks=pytest.mark.exhaustive),
        pytest.param("Docker's own builder", marks=pytest.mark.exhaustive),
    ],
)
def test_what_others_build_runs_here_and_is_understood(
    daemon: Daemon, peer: Peer, place: Path, tmp_path: Path, maker: str
) -> None:
    (place / "Dockerfile").write_text(WASTEFUL.format(base=daemon.busybox))
    archive = _made_by(maker, peer, place, tmp_path)
    daemon.transom("load", "-i", str(archive))
    assert daemon.transom("run", "--rm", "localhost/made:1").stdout == "one\ncopied\n"
    found = json.loads(daemon.transom("image", "layers", "--json", "localhost/made:1").stdout)
    # Behind the two steps of busybox.
    steps = {
        re.sub(r"file:\w+ in |=/gone$", "", step["Instruction"]).replace('"', "").replace(",", ""): step["Layer"] or {}
        for step in found["Steps"][2:]
    }
    assert {text: layer.get("Size") for text, layer in steps.items()} == {
        "ARG OF": None,
        "RUN echo one > /one && head -c 70000 /dev/zero > $OF": 70_004,
        "ENV A=b c": None,
        "RUN rm /gone": 0,
        "LABEL l=m": None,
        "COPY file /copied/" if maker == "BuildKit" else "COPY /copied/": 7,
        "CMD [cat /one /copied/file]": None,
    }
    assert found["WastedSize"] == 70_000
    assert [(item["Path"], item["Versions"]) for item in found["Offenders"]] == [
        ("/gone", [{"Layer": 2, "Size": 70_000, "HiddenBy": 3, "How": "deleted"}])
    ]
