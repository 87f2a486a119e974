"""Builds by the stock client, the Docker SDK for Python, docker-compose and our own client."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import docker
import pytest
from docker.errors import BuildError

from testbed.clients import TRANSOM
from testbed.daemon import Daemon
from testbed.waiting import wait_for

Place = Callable[..., Path]


@pytest.fixture
def place(daemon: Daemon, tmp_path: Path) -> Place:
    """Make a directory with a Dockerfile, in which BASE is busybox, and more files; return its path."""

    def make(text: str, **files: str) -> Path:
        directory = tmp_path / "place"
        directory.mkdir()
        (directory / "Dockerfile").write_text(f"FROM {daemon.busybox}\n{text}\n".replace("BASE", daemon.busybox))
        for name, content in files.items():
            (directory / name).write_text(content)
        return directory

    return make


def _tags(daemon: Daemon) -> set[str]:
    return set(daemon.transom("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split())


def _nothing_runs(daemon: Daemon) -> bool:
    return not daemon.transom("ps", "-aq").stdout


# The stock client


def test_the_stock_client_builds(daemon: Daemon, place: Place) -> None:
    directory = place("COPY file /\nRUN cat /file > /copied", file="by docker")
    done = daemon.docker("build", "-t", "stock:1", str(directory))
    assert "Step 3/3 : RUN cat /file > /copied" in done.stdout
    assert done.stdout.endswith("Successfully tagged stock:1\n")
    assert daemon.docker("run", "--rm", "stock:1", "cat", "/copied").stdout == "by docker"


def test_the_stock_client_prints_the_id_alone(daemon: Daemon, place: Place) -> None:
    identity = daemon.docker("build", "-q", str(place("ENV A=1"))).stdout.strip()
    assert daemon.docker("inspect", "-f", "{{.Id}}", identity).stdout.strip() == identity


def test_the_stock_client_ends_with_the_code_of_what_failed(daemon: Daemon, place: Place) -> None:
    done = daemon.docker("build", "-t", "failed:1", str(place("RUN exit 7")), check=False)
    assert done.returncode == 7
    assert "The command '/bin/sh -c exit 7' returned a non-zero code: 7" in done.stderr
    assert "failed:1" not in _tags(daemon)
    assert _nothing_runs(daemon)


def test_the_stock_client_sends_a_dockerfile_from_elsewhere(daemon: Daemon, place: Place, tmp_path: Path) -> None:
    directory = place("RUN exit 1", file="x")
    (tmp_path / "Other").write_text(f"FROM {daemon.busybox}\nCOPY . /all\n")
    daemon.docker("build", "-f", str(tmp_path / "Other"), "-t", "elsewhere", str(directory))
    listed = daemon.docker("run", "--rm", "elsewhere", "ls", "-A", "/all").stdout.split()
    # What the client has added itself is left out by the file that it has written for that.
    assert listed == ["Dockerfile", "file"]


# The SDK


def test_the_sdk_builds(daemon: Daemon, place: Place) -> None:
    directory = place("ARG WHAT\nCOPY file /\nRUN echo $WHAT > /what", file="by the SDK")
    with closing(docker.DockerClient(base_url=daemon.host)) as client:
        image, log = client.images.build(path=str(directory), tag="sdk:1", buildargs={"WHAT": "this"}, rm=True)
        text = "".join(str(line.get("stream", "")) for line in log)
        assert image.tags == ["sdk:1"]
        assert "Step 4/4 : RUN echo $WHAT > /what" in text
        assert client.containers.run(image, "cat /file /what", remove=True) == b"by the SDKthis\n"


def test_the_sdk_hears_what_failed(daemon: Daemon) -> None:
    text = f"FROM {daemon.busybox}\nRUN echo before; exit 4\n"
    with closing(docker.DockerClient(base_url=daemon.host)) as client, pytest.raises(BuildError) as failure:
        client.images.build(fileobj=io.BytesIO(text.encode()))
    assert "returned a non-zero code: 4" in str(failure.value)
    assert "before\n" in [line.get("stream") for line in failure.value.build_log]


# docker-compose


def test_compose_builds_what_it_runs(daemon: Daemon, place: Place) -> None:
    directory = place("COPY file /\nRUN cat /file > /copied", file="by compose")
    service = "build: {context: ., args: {A: b}}\n    network_mode: none\n    command: cat /copied"
    (directory / "docker-compose.yml").write_text(f'version: "2.4"\nservices:\n  one:\n    {service}\n')
    environment = {**daemon.environment(), "COMPOSE_API_VERSION": "1.44", "COMPOSE_DOCKER_CLI_BUILD": "0"}
    command = ["docker-compose", "--ansi", "never", "-p", "built"]
    try:
        up = subprocess.run([*command, "up"], cwd=directory, env=environment, capture_output=True, text=True)
        assert up.returncode == 0, up.stderr
        assert "by compose" in up.stdout
    finally:
        subprocess.run([*command, "down"], cwd=directory, env=environment, capture_output=True)


# Our own client


def test_our_client_builds_shows_and_tags(daemon: Daemon, place: Place) -> None:
    directory = place("COPY file /\nRUN cat /file; echo done >&2", file="content\n")
    done = daemon.transom("build", "--progress", "plain", "-t", "ours:1", "-t", "ours:2", str(directory))
    lines = [line.partition(" ")[2] for line in done.stderr.splitlines()]
    assert "[3/3] RUN cat /file; echo done >&2" in lines
    assert {line.partition(" ")[2] for line in lines} >= {"content", "done"}
    assert done.stdout == ""
    assert {"ours:1", "ours:2"} <= _tags(daemon)
    again = daemon.transom("build", "--progress", "plain", str(directory))
    assert again.stderr.count("CACHED") == 2


def test_our_client_sends_an_image_in_an_oci_layout(daemon: Daemon, place: Place, tmp_path: Path) -> None:
    directory = place("FROM other AS last\nCOPY --from=base /etc/passwd /copied")
    layout = tmp_path / "layout"
    source = f"docker://{daemon.busybox}"
    subprocess.run(["skopeo", "copy", "-q", "--src-tls-verify=false", source, f"oci:{layout}:v1"], check=True)
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    images = daemon.transom("images", "-aq").stdout
    contexts = ("--build-context", f"base=oci-layout://{layout}@{digest}", "--build-context")
    daemon.transom("build", "-t", "layout:1", *contexts, f"other=oci-layout://{layout}:v1", str(directory))
    assert daemon.transom("run", "--rm", "layout:1", "cat", "/copied").stdout.startswith("root:")
    assert len(daemon.transom("images", "-aq").stdout.split()) == len(images.split()) + 1
    done = daemon.transom("build", *contexts, f"other=oci-layout://{layout}:v2", str(directory), check=False)
    assert "oci-layout reference 'v2' could not be resolved" in done.stderr


def test_what_fails_is_shown_with_its_place_and_leaves_nothing(daemon: Daemon, place: Place) -> None:
    directory = place("RUN echo why; exit 9")
    done = daemon.transom("build", "-t", "failed:2", str(directory), check=False)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[lines.index("------") :] == [
        "------",
        " > [2/2] RUN echo why; exit 9:",
        "why",
        "------",
        "Dockerfile:2",
        "--------------------",
        f"   1 |     FROM {daemon.busybox}",
        "   2 | >>> RUN echo why; exit 9",
        "   3 |     ",
        "--------------------",
        'ERROR: failed to build: process "/bin/sh -c echo why; exit 9" did not complete successfully: exit code: 9',
    ]
    assert "failed:2" not in _tags(daemon)
    assert _nothing_runs(daemon)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_build_that_is_interrupted_ends_at_once(daemon: Daemon, place: Place, number: signal.Signals) -> None:
    directory = place("RUN echo begun; sleep 1000")
    before = daemon.transom("images", "-aq").stdout
    command = [str(TRANSOM), "-H", daemon.host, "build", "--progress", "plain", str(directory)]
    with subprocess.Popen(command, env=daemon.environment(), stderr=subprocess.PIPE, text=True) as client:
        assert client.stderr is not None
        for line in client.stderr:
            if line.endswith(" begun\n"):
                break
        client.send_signal(number)
        client.stderr.read()
    assert client.returncode == (130 if number is signal.SIGINT else -signal.SIGKILL)
    wait_for(lambda: _nothing_runs(daemon))
    assert daemon.transom("images", "-aq").stdout == before


def test_a_context_on_standard_input(daemon: Daemon) -> None:
    text = f"FROM {daemon.busybox}\nRUN echo piped > /x\n".encode()
    daemon.transom("build", "-t", "piped:1", "-", input=text)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("sub/My")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    daemon.transom("build", "-t", "piped:2", "-f", "sub/My", "-", input=buffer.getvalue())
    assert daemon.transom("run", "--rm", "piped:2", "cat", "/x").stdout == "piped\n"


def test_a_directory_of_many_files_is_sent_whole(daemon: Daemon, place: Place) -> None:
    directory = place("COPY . /all\nRUN find /all -type f | wc -l > /count; cat /all/large | wc -c >> /count")
    for number in range(500):
        (directory / f"file{number}").touch()
    with (directory / "large").open("wb") as file:
        file.write(os.urandom(1 << 20) * 20)
    daemon.transom("build", "-t", "many", str(directory))
    assert daemon.transom("run", "--rm", "many", "cat", "/count").stdout.split() == ["502", str(20 << 20)]


def test_a_check_finds_what_could_be_better(daemon: Daemon, place: Place) -> None:
    directory = place("CMD echo $HOME")
    done = daemon.transom("build", "--check", str(directory), check=False)
    assert done.returncode == 1
    assert "JSONArgsRecommended" in done.stdout
    built = daemon.transom("build", str(directory))
    assert " 1 warning found:\n - JSONArgsRecommended: " in built.stderr


def test_a_terminal_shows_a_build(daemon: Daemon, place: Place) -> None:
    directory = place("RUN echo hello")
    command = f"{TRANSOM} -H {daemon.host} build --no-cache {directory}"
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"], env=daemon.environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert "[+] Building" in done.stdout
    assert "FINISHED" in done.stdout
    assert " => [2/2] RUN echo hello" in done.stdout
    assert done.stdout.rstrip().endswith("\x1b[?25h")
