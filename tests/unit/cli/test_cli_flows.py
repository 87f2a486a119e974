"""What the commands ask of the daemon, in which order, and what they make of its answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Transom = Callable[..., int]
Capture = pytest.CaptureFixture[str]
CREATED = {"Id": "c" * 64, "Warnings": ["mind the gap"]}
STATE = {"Running": True, "Paused": False, "Restarting": False}


def _runnable(daemon: Any, output: bytes, code: int = 0) -> None:
    """Make a container that says something and ends."""

    def attach(request: Any) -> None:
        request.upgrade()
        request.connection.sendall(output)
        request.hang_up()

    identity = CREATED["Id"]
    daemon.on("POST", "/containers/create", CREATED)
    daemon.on("POST", f"/containers/{identity}/attach", attach)
    daemon.on("POST", f"/containers/{identity}/wait", {"StatusCode": code})
    daemon.on("POST", f"/containers/{identity}/start", lambda request: request.answer(status=204))


def test_run_attaches_and_waits_before_it_starts(
    daemon: Any, transom: Transom, capfd: Capture, framed: Callable[[int, bytes], bytes]
) -> None:
    _runnable(daemon, framed(1, b"out\n") + framed(2, b"err\n"), code=7)
    assert transom("run", "--rm", "busybox", "sh", "-c", "x") == 7
    path = f"POST /containers/{CREATED['Id']}"
    assert daemon.asked == ["POST /containers/create", f"{path}/attach", f"{path}/wait", f"{path}/start"]
    assert daemon.requests[2].target.endswith("wait?condition=removed")
    assert capfd.readouterr() == ("out\n", "WARNING: mind the gap\nerr\n")


def test_run_without_rm_waits_for_the_next_exit(daemon: Any, transom: Transom) -> None:
    _runnable(daemon, b"")
    assert transom("run", "busybox") == 0
    assert daemon.requests[2].target.endswith("wait?condition=next-exit")


def test_a_detached_run_prints_the_id_and_attaches_nothing(daemon: Any, transom: Transom, capfd: Capture) -> None:
    _runnable(daemon, b"")
    assert transom("run", "-d", "busybox") == 0
    assert capfd.readouterr().out == f"{CREATED['Id']}\n"
    assert f"POST /containers/{CREATED['Id']}/attach" not in daemon.asked
    body = daemon.requests[0].json
    assert (body["AttachStdout"], body["AttachStderr"]) == (False, False)


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ('exec: "x": executable file not found in $PATH', 127),
        ("exec /x: no such file or directory", 127),
        ("exec /etc: permission denied", 126),
        ("exec /etc: is a directory", 126),
        ("something else", 125),
    ],
)
def test_a_failed_start_has_the_exit_status_of_a_shell(
    daemon: Any, transom: Transom, capfd: Capture, reason: str, status: int
) -> None:
    _runnable(daemon, b"")
    start = f"/containers/{CREATED['Id']}/start"
    daemon.on("POST", start, lambda request: request.answer({"message": reason}, 400))
    assert transom("run", "busybox", "x") == status
    assert capfd.readouterr().err.endswith(
        f"transom: Error response from daemon: {reason}\n\nRun 'transom run --help' for more information\n"
    )


def _lacking(daemon: Any, messages: list[dict[str, Any]]) -> None:
    """Make a daemon that has no image until one is pulled."""
    pulled: list[bool] = []

    def create(request: Any) -> None:
        if pulled:
            request.answer(CREATED)
        else:
            request.answer({"message": "No such image: busybox:latest"}, 404)

    def pull(request: Any) -> None:
        pulled.append(True)
        lines = "".join(json.dumps(message) + "\r\n" for message in messages).encode()
        request.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(lines) + lines)

    daemon.on("POST", "/containers/create", create)
    daemon.on("POST", "/images/create", pull)


PULL = [
    {"status": "Pulling from library/busybox", "id": "latest"},
    {"status": "Pulling fs layer", "progressDetail": {}, "id": "abc"},
    {"status": "Downloading", "progressDetail": {"current": 5, "total": 9}, "id": "abc"},
    {"status": "Pull complete", "progressDetail": {}, "id": "abc"},
    {"status": "Status: Downloaded newer image for busybox:latest"},
]
PULL_LINES = (
    "latest: Pulling from library/busybox\nabc: Pulling fs layer\nabc: Pull complete\n"
    "Status: Downloaded newer image for busybox:latest\n"
)


def test_a_missing_image_is_pulled_with_its_progress_on_standard_error(
    daemon: Any, transom: Transom, capfd: Capture
) -> None:
    _lacking(daemon, PULL)
    assert transom("create", "--platform", "linux/arm64", "busybox") == 0
    out, err = capfd.readouterr()
    assert out == f"{CREATED['Id']}\n"
    assert err == f"Unable to find image 'busybox:latest' locally\n{PULL_LINES}WARNING: mind the gap\n"
    assert daemon.asked == ["POST /containers/create", "POST /images/create", "POST /containers/create"]
    assert daemon.requests[1].target.endswith("?fromImage=busybox&tag=latest&platform=linux%2Farm64")


def test_a_missing_image_is_not_pulled_if_that_is_not_wanted(daemon: Any, transom: Transom, capfd: Capture) -> None:
    _lacking(daemon, PULL)
    assert transom("run", "--pull", "never", "busybox") == 125
    assert daemon.asked == ["POST /containers/create"]
    assert "No such image: busybox:latest" in capfd.readouterr().err


def test_quiet_pulls_say_nothing(daemon: Any, transom: Transom, capfd: Capture) -> None:
    _lacking(daemon, PULL)
    assert transom("create", "-q", "busybox") == 0
    assert capfd.readouterr().err == "WARNING: mind the gap\n"


def test_an_error_in_the_middle_of_a_pull_is_the_commands(daemon: Any, transom: Transom, capfd: Capture) -> None:
    problem = {"errorDetail": {"message": "manifest unknown"}, "error": "manifest unknown"}
    _lacking(daemon, [*PULL[:2], problem])
    assert transom("pull", "busybox") == 1
    out, err = capfd.readouterr()
    assert out.startswith("Using default tag: latest\nlatest: Pulling from library/busybox\n")
    assert err == "manifest unknown\n"


def test_a_container_that_is_missing_something_else_is_not_pulled(
    daemon: Any, transom: Transom, capfd: Capture
) -> None:
    daemon.on("POST", "/containers/create", lambda request: request.answer({"message": "no such volume"}, 404))
    assert transom("create", "busybox") == 1
    assert daemon.asked == ["POST /containers/create"]
    assert capfd.readouterr().err == "Error response from daemon: no such volume\n"


def test_flags_become_the_body_of_the_request(daemon: Any, transom: Transom) -> None:
    daemon.on("POST", "/containers/create", CREATED)
    flags = (
        "--name n -it -h host -u 1:2 -w /w -e A=b -l k=v --entrypoint e --stop-signal INT --stop-timeout 4"
        " --network none --graphdriver vfs --execdriver chroot --read-only --tmpfs /t:size=1m --shm-size 1k"
        " --ulimit core=1:2 --group-add g --init --oom-score-adj 3 --restart on-failure:5 --log-driver j"
        " --log-opt a=b -v /s:/d --mount type=tmpfs,dst=/m --ipc shareable --pid container:p --uts host"
        " --cgroupns private --sysctl net.ipv4.ip_forward=1 --device /dev/fuse --device /a:/b:r --volumes-from v:ro"
        " --health-cmd check --health-interval 1m30s --health-timeout 500ms --health-retries 2"
        " --health-start-period 2s --health-start-interval 1s"
    )
    assert transom("create", *flags.split(), "busybox", "ls", "-l") == 0
    request = daemon.requests[0]
    assert request.target.endswith("/containers/create?name=n")
    body = request.json
    host = body.pop("HostConfig")
    assert body == {
        "Image": "busybox",
        "Cmd": ["ls", "-l"],
        "Entrypoint": ["e"],
        "Hostname": "host",
        "Domainname": "",
        "ExposedPorts": {},
        "User": "1:2",
        "WorkingDir": "/w",
        "Env": ["A=b"],
        "Labels": {"k": "v"},
        "Tty": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Volumes": {},
        "StopSignal": "INT",
        "StopTimeout": 4,
        "Healthcheck": {
            "Test": ["CMD-SHELL", "check"],
            "Interval": 90 * 10**9,
            "Timeout": 5 * 10**8,
            "Retries": 2,
            "StartPeriod": 2 * 10**9,
            "StartInterval": 10**9,
        },
    }
    expected = {
        "NetworkMode": "none",
        "StorageOpt": {"driver": "vfs"},
        "Runtime": "chroot",
        "ReadonlyRootfs": True,
        "Tmpfs": {"/t": "size=1m"},
        "ShmSize": 1024,
        "Ulimits": [{"Name": "core", "Soft": 1, "Hard": 2}],
        "GroupAdd": ["g"],
        "Init": True,
        "OomScoreAdj": 3,
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5},
        "LogConfig": {"Type": "j", "Config": {"a": "b"}},
        "Binds": ["/s:/d"],
        "Mounts": [{"Type": "tmpfs", "Source": "", "Target": "/m"}],
        "IpcMode": "shareable",
        "PidMode": "container:p",
        "UTSMode": "host",
        "CgroupnsMode": "private",
        "Sysctls": {"net.ipv4.ip_forward": "1"},
        "Devices": [
            {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"},
            {"PathOnHost": "/a", "PathInContainer": "/b", "CgroupPermissions": "r"},
        ],
        "VolumesFrom": ["v:ro"],
    }
    assert {key: host[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--graphdriver a --storage-opt driver=b", "--graphdriver and --storage-opt driver= name different"),
        ("--execdriver a --runtime b", "--execdriver and --runtime name different drivers"),
        ("--rm --restart always", "cannot specify both --restart and --rm"),
        ("--pull bogus", "invalid pull option: 'bogus'"),
        ("--storage-opt x", "invalid storage option"),
        ("--env-file /nope", "open /nope: no such file or directory"),
        ("--pid bogus", "--pid: invalid PID mode"),
        ("--pid container:", "--pid: invalid PID mode"),
        ("--uts bogus", "--uts: invalid UTS mode"),
        ("--cgroupns bogus", "--cgroupns: invalid CGROUP mode"),
        ("--no-healthcheck --health-cmd x", "--no-healthcheck conflicts with --health-* options"),
        ("--health-interval -1s", "--health-interval cannot be negative"),
        ("--health-retries -1", "--health-retries cannot be negative"),
    ],
)
def test_flags_that_cannot_be_are_refused_before_the_daemon_is_asked(
    daemon: Any, transom: Transom, capfd: Capture, flags: str, message: str
) -> None:
    assert transom("run", *flags.split(), "busybox") == 125
    assert message in capfd.readouterr().err
    assert daemon.requests == []


@pytest.mark.parametrize(
    ("command", "option"),
    [("run", "--memory=64m"), ("run", "-m"), ("create", "--privileged"), ("exec", "--privileged"), ("run", "-itm")],
)
def test_a_flag_for_what_the_engine_does_not_do_is_said_to_be_one(
    daemon: Any, transom: Transom, capfd: Capture, command: str, option: str
) -> None:
    assert transom(command, option, "64m", "busybox") == 125
    shown = {"-itm": "-m"}.get(option, option.partition("=")[0])
    assert capfd.readouterr().err.startswith(f"the option {shown} is not supported by this engine: leave it out\n")
    assert daemon.requests == []


def test_a_cidfile_holds_the_id_and_is_not_written_over(
    daemon: Any, transom: Transom, capfd: Capture, tmp_path: Path
) -> None:
    daemon.on("POST", "/containers/create", CREATED)
    file = tmp_path / "cid"
    assert transom("create", "--cidfile", str(file), "busybox") == 0
    assert file.read_text() == CREATED["Id"]
    assert transom("create", "--cidfile", str(file), "busybox") == 1
    assert "container ID file found" in capfd.readouterr().err
    assert len(daemon.requests) == 1


def test_a_cidfile_is_not_left_where_no_container_is_made(daemon: Any, transom: Transom, tmp_path: Path) -> None:
    daemon.on("POST", "/containers/create", lambda request: request.answer({"message": "no"}, 409))
    assert transom("create", "--cidfile", str(tmp_path / "cid"), "busybox") == 1
    assert not (tmp_path / "cid").exists()


def test_exec_ends_with_the_exit_code_of_its_process(
    daemon: Any, transom: Transom, capfd: Capture, framed: Callable[[int, bytes], bytes]
) -> None:
    def start(request: Any) -> None:
        request.upgrade()
        request.connection.sendall(framed(1, b"hi\n"))
        request.hang_up()

    daemon.on("POST", "/containers/x/exec", {"Id": "e"})
    daemon.on("POST", "/exec/e/start", start)
    daemon.on("GET", "/exec/e/json", {"ExitCode": 5})
    assert transom("exec", "-e", "A=1", "-w", "/", "x", "ls", "-l") == 5
    assert capfd.readouterr().out == "hi\n"
    body = daemon.requests[0].json
    assert (body["Cmd"], body["Env"], body["WorkingDir"]) == (["ls", "-l"], ["A=1"], "/")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Running": False}, "You cannot attach to a stopped container, start it first\n"),
        ({"Paused": True}, "You cannot attach to a paused container, unpause it first\n"),
    ],
)
def test_attach_wants_a_running_container(
    daemon: Any, transom: Transom, capfd: Capture, change: dict[str, bool], message: str
) -> None:
    daemon.on("GET", "/containers/x/json", {"Id": "x", "State": {**STATE, **change}})
    assert transom("attach", "x") == 1
    assert capfd.readouterr().err == message


def test_one_failure_of_many_does_not_stop_the_others(daemon: Any, transom: Transom, capfd: Capture) -> None:
    daemon.on("POST", "/containers/b/stop", lambda request: request.answer(status=204))
    assert transom("stop", "-t", "0", "a", "b") == 1
    out, err = capfd.readouterr()
    assert (out, err) == ("b\n", "Error response from daemon: No such thing: /containers/a/stop\n")
    assert daemon.requests[1].target.endswith("/stop?t=0")


def test_a_forced_removal_of_what_is_not_there_is_no_failure(transom: Transom, capfd: Capture) -> None:
    assert transom("rm", "-f", "x") == 0
    assert transom("rmi", "-f", "x") == 0
    assert transom("rm", "x") == 1
    assert capfd.readouterr().err.count("No such thing") == 3


def test_inspect_looks_among_containers_images_and_volumes(daemon: Any, transom: Transom, capfd: Capture) -> None:
    daemon.on("GET", "/volumes/v", {"Name": "v", "Labels": None})
    assert transom("inspect", "v", "nope") == 1
    out, err = capfd.readouterr()
    assert json.loads(out) == [{"Name": "v", "Labels": None}]
    assert err == "Error: No such object: nope\n"


def test_the_older_version_of_the_api_is_spoken(daemon: Any, transom: Transom) -> None:
    daemon.api_version = "1.41"
    daemon.on("GET", "/containers/json", [])
    assert transom("ps") == 0
    assert daemon.requests[0].target == "/v1.41/containers/json"


def test_a_newer_daemon_is_spoken_to_in_our_version(daemon: Any, transom: Transom) -> None:
    daemon.api_version = "1.99"
    daemon.on("GET", "/containers/json", [])
    assert transom("ps", "-a", "-f", "name=x", "-f", "name=y") == 0
    assert daemon.requests[0].target == (
        "/v1.50/containers/json?all=1&filters=%7B%22name%22%3A%20%5B%22x%22%2C%20%22y%22%5D%7D"
    )


def test_a_daemon_that_is_too_old_is_refused(daemon: Any, transom: Transom, capfd: Capture) -> None:
    daemon.api_version = "1.23"
    assert transom("ps") == 1
    assert "speaks version 1.23 of the API" in capfd.readouterr().err


def test_ports_that_follow_each_other_are_shown_as_a_range(daemon: Any, transom: Transom, capfd: Capture) -> None:
    ports = [
        {"PrivatePort": 81, "Type": "tcp"},
        {"PrivatePort": 80, "Type": "tcp"},
        {"PrivatePort": 443, "PublicPort": 8443, "IP": "::", "Type": "tcp"},
        {"PrivatePort": 53, "PublicPort": 53, "IP": "0.0.0.0", "Type": "udp"},
    ]
    container = {
        "Id": "i" * 64, "Names": ["/other/link", "/n"], "Image": "docker.io/library/b", "Command": "x" * 30,
        "Created": 0, "State": "running", "Status": "Up", "Ports": ports,
    }  # fmt: skip
    daemon.on("GET", "/containers/json", [container])
    assert transom("ps", "--format", "{{.Ports}}|{{.Names}}|{{.Image}}|{{.Command}}") == 0
    assert capfd.readouterr().out == (f'0.0.0.0:53->53/udp, 80-81/tcp, [::]:8443->443/tcp|n|b|"{"x" * 19}…"\n')


DRIVER = {
    "Kind": "graph", "Name": "overlay", "Distribution": "transom", "Version": "0.1.0",
    "Module": "transom_overlay", "Rank": 10, "Merit": "m", "Limits": ["l"], "Capabilities": [], "Unavailable": "",
    "Default": True, "Recommended": True,
}  # fmt: skip
BROKEN = {
    **DRIVER,
    "Kind": "exec",
    "Name": "oci",
    "Unavailable": "no runtime: install runc",
    "Merit": "",
    "Recommended": False,
    "Default": False,
}


def test_drivers_are_listed_with_the_reason_why_one_does_not_work(
    daemon: Any, transom: Transom, capfd: Capture
) -> None:
    daemon.on("GET", "/drivers", [DRIVER, BROKEN])
    assert transom("driver", "ls") == 0
    assert capfd.readouterr().out == (
        "KIND      NAME      DEFAULT   FROM            STATUS\n"
        "graph     overlay   *         transom 0.1.0   works\n"
        "exec      oci                 transom 0.1.0   no runtime: install runc\n"
    )
    assert transom("driver", "ls", "-q", "--kind", "exec") == 0
    assert capfd.readouterr().out == "oci\n"


def test_a_driver_is_inspected_by_name(daemon: Any, transom: Transom, capfd: Capture) -> None:
    daemon.on("GET", "/drivers", [DRIVER, BROKEN, {**DRIVER, "Kind": "exec"}])
    assert transom("driver", "inspect", "oci", "-f", "{{.Unavailable}}") == 0
    assert capfd.readouterr().out == "no runtime: install runc\n"
    assert transom("driver", "inspect", "overlay") == 1
    assert "choose one with --kind" in capfd.readouterr().err
    assert transom("driver", "inspect", "--kind", "graph", "overlay") == 0
    assert json.loads(capfd.readouterr().out) == [DRIVER]


def test_events_are_printed_as_they_arrive(daemon: Any, transom: Transom, capfd: Capture) -> None:
    event = {
        "Type": "container", "Action": "die", "timeNano": 1,
        "Actor": {"ID": "x", "Attributes": {"name": "n", "exitCode": "3"}},
    }  # fmt: skip
    daemon.on("GET", "/events", event)
    assert transom("events", "--until", "0s", "--format", "{{.Action}} {{.Actor.Attributes.name}}") == 0
    assert capfd.readouterr().out == "die n\n"
    assert transom("events") == 0
    assert capfd.readouterr().out.endswith("00001Z container die x (exitCode=3, name=n)\n")


def test_a_daemon_that_is_not_there_is_said_to_be(capfd: Capture, tmp_path: Path) -> None:
    from transom_cli.main import main

    assert main(["-H", f"unix://{tmp_path}/nope", "ps"]) == 1
    assert capfd.readouterr().err == (
        f"Cannot connect to the Transom daemon at unix://{tmp_path}/nope. Is the transom daemon running?\n"
    )
