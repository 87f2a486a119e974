"""A project of three services, managed by Debian's docker-compose."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator

import pytest

from testbed.daemon import Daemon

#: Networks of a project's own are not there yet, so each service says which it is on.
PROJECT = """
version: "2.4"
services:
  writer:
    image: $IMAGE
    command: sh -c 'trap "exit 0" TERM; echo hello from writer; touch /data/ready; while :; do sleep 0.1; done'
    network_mode: none
    environment: {COLOR: red}
    labels: {part: writer}
    volumes: ["store:/data", "./settings:/settings:ro"]
    stop_grace_period: 5s
    restart: unless-stopped
  reader:
    image: $IMAGE
    depends_on: [writer]
    command: sh -c 'until [ -e /data/ready ]; do sleep 0.01; done; echo found it; exec sleep 1000'
    network_mode: host
    read_only: true
    tmpfs: /tmp
    stop_signal: SIGKILL
    volumes_from: [writer]
  once:
    image: $IMAGE
    entrypoint: [sh, -c]
    command: ["echo done >&2; exit 3"]
    network_mode: none
    user: alice
    working_dir: /tmp
volumes:
  store: {labels: {kept: "no"}}
"""

Compose = Callable[..., str]


@pytest.fixture(scope="module")
def compose(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """Run docker-compose in the project's directory, and return what it wrote to its standard output."""
    directory = tmp_path_factory.mktemp("project")
    (directory / "docker-compose.yml").write_text(PROJECT.replace("$IMAGE", daemon.busybox))
    (directory / "settings").mkdir()
    (directory / "settings/color").write_text("blue\n")

    def run(*arguments: str, status: int = 0) -> str:
        command = ["docker-compose", "--ansi", "never", "-p", "three", *arguments]
        # It looks for a field that answers have not had since version 1.45, from dockerd or from here.
        environment = {**daemon.environment(), "COMPOSE_API_VERSION": "1.44"}
        done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == status, f"{command}: {done.stdout}{done.stderr}\n{daemon.log()}"
        return done.stdout

    yield run
    run("down", "-v", "-t", "0")


@pytest.fixture(scope="module")
def up(compose: Compose) -> Compose:
    """The project, up, its last service ended."""
    compose("up", "-d")
    compose("run", "--rm", "writer", "true")
    return compose


def _states(daemon: Daemon) -> dict[str, str]:
    listed = daemon.docker("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout.splitlines()
    return dict(line.split() for line in listed)


def test_up_starts_the_services_with_what_they_ask_for(daemon: Daemon, up: Compose) -> None:
    daemon.docker("wait", "three_once_1")
    assert _states(daemon) == {
        "three_writer_1": "running",
        "three_reader_1": "running",
        "three_once_1": "exited",
    }
    [writer] = json.loads(daemon.docker("inspect", "three_writer_1").stdout)
    assert writer["Config"]["Labels"]["com.docker.compose.service"] == "writer"
    assert writer["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    [volume] = json.loads(daemon.docker("volume", "inspect", "three_store").stdout)
    assert volume["Labels"] == {"kept": "no"} | {
        name: value for name, value in volume["Labels"].items() if name.startswith("com.docker.compose.")
    }


def test_ps_lists_the_services(up: Compose) -> None:
    lines = up("ps", "-a").splitlines()[2:]
    assert [(line.split()[0], "Up" in line, "Exit 3" in line) for line in lines] == [
        ("three_once_1", False, True),
        ("three_reader_1", True, False),
        ("three_writer_1", True, False),
    ]
    assert len(up("ps", "-q", "writer").split()) == 1


def test_logs_tell_the_services_apart(daemon: Daemon, up: Compose) -> None:
    told = up("logs")
    for line in ("writer_1  | hello from writer", "once_1    | done"):
        assert line in told
    assert up("logs", "--tail", "1", "-t", "writer").count("hello from writer") == 1


def test_exec_runs_in_a_service(up: Compose) -> None:
    assert up("exec", "-T", "writer", "cat", "/settings/color") == "blue\n"
    assert (
        up("exec", "-T", "-e", "A=1", "-u", "alice", "writer", "sh", "-c", "echo $COLOR $A; id -un") == "red 1\nalice\n"
    )
    up("exec", "-T", "reader", "touch", "/x", status=1)
    up("exec", "-T", "reader", "sh", "-c", "exit 7", status=7)


def test_run_gives_its_exit_code_and_leaves_nothing(daemon: Daemon, up: Compose) -> None:
    assert up("run", "--rm", "--no-deps", "-T", "writer", "sh", "-c", "ls /data; exit 4", status=4).endswith("ready\n")
    assert len(_states(daemon)) == 3


def test_services_are_paused_stopped_and_started(daemon: Daemon, up: Compose) -> None:
    up("pause", "reader")
    assert _states(daemon)["three_reader_1"] == "paused"
    up("unpause", "reader")
    up("stop")
    assert set(_states(daemon).values()) == {"exited"}
    [writer] = json.loads(daemon.docker("inspect", "three_writer_1").stdout)
    assert writer["State"]["ExitCode"] == 0
    up("start", "writer", "reader")
    up("restart", "-t", "0", "reader")
    up("kill", "reader")
    up("up", "-d", "reader")
    assert _states(daemon)["three_reader_1"] == "running"
    assert "sleep 1000" in up("top", "reader")


def test_a_service_whose_settings_changed_is_made_anew_with_its_volumes(daemon: Daemon, up: Compose) -> None:
    before = up("ps", "-q", "writer")
    up("up", "-d", "--force-recreate", "--no-deps", "writer")
    assert up("ps", "-q", "writer") != before
    assert up("exec", "-T", "writer", "ls", "/data/ready") == "/data/ready\n"


def test_more_of_a_service_are_started_and_ended(daemon: Daemon, up: Compose) -> None:
    up("up", "-d", "--scale", "writer=3", "--no-recreate")
    assert sum(name.startswith("three_writer_") for name in _states(daemon)) == 3
    up("up", "-d", "--scale", "writer=1", "--no-recreate")
    assert sum(name.startswith("three_writer_") for name in _states(daemon)) == 1


def test_images_of_the_services_are_told(daemon: Daemon, up: Compose) -> None:
    assert up("images").count("busybox") == len(_states(daemon))
    assert daemon.busybox.rpartition(":")[0] in up("config")


def test_down_takes_all_of_it_away(daemon: Daemon, up: Compose) -> None:
    up("down", "-v", "-t", "1")
    assert _states(daemon) == {}
    assert daemon.docker("volume", "ls", "-q").stdout == ""
