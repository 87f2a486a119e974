"""Log drivers of real containers: what is kept, read, followed and refused, and what comes of what goes wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.clients import TRANSOM
from testbed.daemon import Daemon
from testbed.registry import Registry
from testbed.waiting import has_ended, wait_for

READABLE = ("json-file", "local")


@pytest.fixture
def name(daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a container that is removed at the end."""
    yield "box"
    daemon.transom("rm", "-fv", "box", check=False)


def inspect(daemon: Daemon, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(daemon.transom("inspect", name).stdout)[0]
    return found


def shim_of(daemon: Daemon, name: str) -> int:
    """Return the process ID of a running container's shim."""
    init = int(str(inspect(daemon, name)["State"]["Pid"]))  # type: ignore[index]
    status = Path(f"/proc/{init}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid")))


def children(process: int, name: str) -> list[int]:
    """Return the children of a process that have a name."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == process and (entry / "comm").read_text().strip() == name:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


# Reading


@pytest.mark.parametrize("driver", READABLE)
def test_a_log_is_read_with_times_and_details(daemon: Daemon, name: str, driver: str) -> None:
    # fmt: off
    daemon.transom(
        "run", "--name", name, "--log-driver", driver, "--label", "tier=front end", "-e", "ROLE=main",
        "--log-opt", "labels=tier", "--log-opt", "env=ROLE", "--log-opt", "tag={{.Name}}-{{.ImageName}}",
        daemon.busybox, "sh", "-c", "echo out; sleep 0.1; echo err >&2; sleep 0.1; printf rest",
    )
    # fmt: on
    logs = daemon.transom("logs", name)
    assert (logs.stdout, logs.stderr) == ("out\nrest", "err\n")
    tag = f"{name}-{daemon.busybox}".replace("/", "%2F").replace(":", "%3A")
    assert daemon.transom("logs", "--details", name).stdout == (
        f"ROLE=main,tag={tag},tier=front+end out\nROLE=main,tag={tag},tier=front+end rest"
    )
    stamps = [line.partition(" ")[0] for line in daemon.transom("logs", "-t", name).stdout.splitlines()]
    assert daemon.transom("logs", "--since", stamps[1], name).stdout == "rest"
    assert daemon.transom("logs", "--until", stamps[0], name).stdout == "out\n"
    assert daemon.transom("logs", "-n", "1", name).stdout == "rest"
    assert daemon.docker("logs", "--details", "-n", "1", name).stdout == f"ROLE=main,tag={tag},tier=front+end rest"


@pytest.mark.parametrize("client", ["transom", "docker"])
def test_a_driver_that_cannot_be_read_says_so(daemon: Daemon, name: str, client: str) -> None:
    run = getattr(daemon, client)
    assert run("run", "--name", name, "--log-driver", "none", daemon.busybox, "echo", "seen").stdout == "seen\n"
    logs = run("logs", name, check=False)
    assert logs.returncode == 1
    assert logs.stderr == "Error response from daemon: configured logging driver does not support reading\n"


@pytest.mark.parametrize("driver", READABLE)
def test_following_goes_over_rotations_to_the_end(daemon: Daemon, name: str, driver: str) -> None:
    # fmt: off
    daemon.transom(
        "run", "-d", "--name", name, "--log-driver", driver, "--log-opt", "max-size=20k", "--log-opt", "max-file=1000",
        "--log-opt", "compress=true", daemon.busybox, "sh", "-c",
        "i=0; while [ $i -lt 5000 ]; do echo line number $i; i=$((i+1)); [ $((i % 500)) = 0 ] && sleep 0.05; done",
    )
    # fmt: on
    followed = daemon.transom("logs", "-f", name).stdout.splitlines()
    assert followed == [f"line number {number}" for number in range(5000)]
    log = next((daemon.data_root / "containers").glob("*/**/*.log"))
    assert len(list(log.parent.glob("*.gz"))) > 5


def follow(daemon: Daemon, name: str, **query: str) -> socket.socket:
    """Follow a log on a connection of its own, past the head of the answer."""
    parameters = "&".join(f"{key}={value}" for key, value in {"stdout": "1", "follow": "1", **query}.items())
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(str(daemon.socket))
    connection.sendall(f"GET /containers/{name}/logs?{parameters} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
    return connection


@pytest.fixture
def daemon_of_few_descriptors(tmp_path: Path, registry: Registry) -> Iterator[Daemon]:
    """A daemon that was started where a process may have 256 open files unless it asks for more."""
    with Daemon(tmp_path, wrapper=("prlimit", "--nofile=256:20000")) as daemon:
        daemon.transom("pull", "-q", registry.busybox)
        daemon.busybox = registry.busybox
        yield daemon


def test_five_hundred_follow_one_container(daemon_of_few_descriptors: Daemon) -> None:
    daemon, name = daemon_of_few_descriptors, "box"
    # fmt: off
    daemon.transom(
        "run", "-d", "-i", "--name", name, daemon.busybox, "sh", "-c",
        "ulimit -n; while read line; do echo got $line; done",
    )
    # fmt: on
    followers = [follow(daemon, name) for _ in range(500)]
    try:
        for follower in followers:
            assert receive_until(follower, b"256\n")
        # None of them holds what others need.
        assert daemon.transom("ps", "-q").stdout
        with subprocess.Popen([TRANSOM, "-H", daemon.host, "attach", name], stdin=subprocess.PIPE) as attached:
            assert attached.stdin is not None
            attached.stdin.write(b"it\n")
            attached.stdin.flush()
            for follower in followers:
                assert receive_until(follower, b"got it\n")
            daemon.transom("kill", name)
        for follower in followers:
            assert receive_until(follower, b"0\r\n\r\n")
    finally:
        for follower in followers:
            follower.close()


def receive_until(connection: socket.socket, wanted: bytes) -> bool:
    got = b""
    while wanted not in got:
        data = connection.recv(65536)
        if not data:
            return False
        got += data
    return True


def test_a_follower_that_does_not_read_holds_up_nobody(daemon: Daemon, name: str) -> None:
    # fmt: off
    daemon.transom(
        "run", "-d", "--name", name, daemon.busybox, "sh", "-c",
        "yes a line that is written again and again | head -c 20000000",
    )
    # fmt: on
    lazy = follow(daemon, name)
    try:
        assert daemon.transom("wait", name).stdout == "0\n"
        assert len(daemon.transom("logs", name).stdout) == 20_000_000
    finally:
        lazy.close()


# Much output


@pytest.mark.parametrize("driver", READABLE)
def test_much_output_at_full_speed_is_kept_whole_and_others_go_on(daemon: Daemon, name: str, driver: str) -> None:
    # 20 MB in 200,000 lines.
    # fmt: off
    daemon.transom(
        "run", "-d", "--name", name, "--log-driver", driver, "--log-opt", "max-size=1g", "--log-opt", "max-file=2",
        daemon.busybox, "sh", "-c", f"seq 1 200000 | sed 's/$/{' padding' * 12}/'",
    )
    # fmt: on
    assert daemon.transom("run", "--rm", daemon.busybox, "echo", "meanwhile").stdout == "meanwhile\n"
    assert daemon.transom("wait", name).stdout == "0\n"
    lines = daemon.transom("logs", name).stdout.splitlines()
    assert lines == [f"{number}{' padding' * 12}" for number in range(1, 200_001)]


@pytest.mark.parametrize("driver", READABLE)
def test_a_line_of_a_megabyte_is_whole_again_when_it_is_read(daemon: Daemon, name: str, driver: str) -> None:
    # fmt: off
    daemon.transom(
        "run", "--name", name, "--log-driver", driver, daemon.busybox, "sh", "-c",
        "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo next",
    )
    # fmt: on
    assert daemon.transom("logs", name).stdout == "x" * 1_000_000 + "\nnext\n"
    stamped = daemon.transom("logs", "-t", name).stdout
    # Each part has its time, as with Docker.
    assert stamped.count("Z ") == -(-1_000_000 // 16384) + 1


# Another process writes


def test_without_blocking_nothing_is_lost_while_the_driver_keeps_up(daemon: Daemon, name: str) -> None:
    # fmt: off
    daemon.transom(
        "run", "--name", name, "--log-opt", "mode=non-blocking", "--log-opt", "max-buffer-size=4m", daemon.busybox,
        "sh", "-c", "seq 1 1000; printf rest",
    )
    # fmt: on
    assert daemon.transom("logs", name).stdout == "".join(f"{number}\n" for number in range(1, 1001)) + "rest"


def test_without_blocking_a_driver_that_hangs_costs_whole_lines_and_no_time(daemon: Daemon, name: str) -> None:
    # fmt: off
    daemon.transom(
        "run", "-d", "-i", "--name", name, "--log-opt", "mode=non-blocking", "--log-opt", "max-buffer-size=100k",
        daemon.busybox, "sh", "-c", "read go; seq 1 500000; echo done >/done; read end; echo the end",
    )
    # fmt: on
    (writer,) = children(shim_of(daemon, name), "transom-log")
    with subprocess.Popen([TRANSOM, "-H", daemon.host, "attach", "--sig-proxy=false", name], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL) as attached:  # fmt: skip
        assert attached.stdin is not None
        os.kill(writer, signal.SIGSTOP)
        attached.stdin.write(b"go\n")
        attached.stdin.flush()
        wait_for(lambda: daemon.transom("exec", name, "cat", "/done", check=False).stdout == "done\n")
        os.kill(writer, signal.SIGCONT)
        wait_for(lambda: daemon.transom("logs", "-n", "1", name).stdout != "")
        attached.stdin.write(b"end\n")
        attached.stdin.close()
        assert attached.wait(60) == 0
    lines = daemon.transom("logs", name).stdout.splitlines()
    assert lines[0] == "1"
    assert lines[-1] == "the end"
    numbers = [int(line) for line in lines[:-1]]
    assert len(numbers) < 500_000
    assert numbers == sorted(set(numbers))


def test_a_syslog_server_gets_what_a_container_writes(daemon: Daemon, name: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        server.settimeout(30)
        # fmt: off
        daemon.docker(
            "run", "--name", name, "--log-driver", "syslog", "--log-opt", f"syslog-address=unixgram://{tmp_path}/log",
            "--log-opt", "tag={{.Name}}/{{.ImageName}}", daemon.busybox, "sh", "-c", "echo out; echo err >&2",
        )
        # fmt: on
        messages = sorted(server.recv(65536).decode() for _ in range(2))
    tag = re.escape(f"box/{daemon.busybox}")
    assert re.fullmatch(rf"<27>\w{{3}} [ \d]\d [\d:]{{8}} {tag}\[\d+\]: err\n", messages[0])
    assert re.fullmatch(rf"<30>\w{{3}} [ \d]\d [\d:]{{8}} {tag}\[\d+\]: out\n", messages[1])
    logs = daemon.docker("logs", name, check=False)
    assert logs.stderr == "Error response from daemon: configured logging driver does not support reading\n"


def test_a_container_does_not_start_without_its_syslog_server(daemon: Daemon, name: str) -> None:
    # fmt: off
    run = daemon.transom(
        "run", "--name", name, "--log-driver", "syslog", "--log-opt", "syslog-address=tcp://127.0.0.1:9",
        daemon.busybox, "true", check=False,
    )
    # fmt: on
    assert run.returncode == 125
    assert "failed to initialize logging driver" in run.stderr
    assert "refused" in run.stderr
    assert inspect(daemon, name)["State"]["Status"] == "created"  # type: ignore[index]


def test_a_server_that_takes_nothing_makes_the_container_wait_and_not_its_owner(daemon: Daemon, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        # fmt: off
        daemon.transom(
            "run", "-d", "--name", name, "--log-driver", "syslog", "--log-opt",
            f"syslog-address=tcp://127.0.0.1:{server.getsockname()[1]}", daemon.busybox, "sh", "-c",
            "seq 1 1000000; echo done >/done; sleep 1000",
        )
        # fmt: on
        connection, _ = server.accept()
        first = connection.recv(1000)
        assert first
        # It is full everywhere on the way: the container waits, and answers.
        assert daemon.transom("exec", name, "ls", "/done", check=False).returncode != 0
        with connection:
            reader = subprocess.Popen(["cat"], stdin=connection, stdout=subprocess.DEVNULL)
            wait_for(lambda: daemon.transom("exec", name, "ls", "/done", check=False).returncode == 0)
        daemon.transom("kill", name)
        assert reader.wait(30) == 0


def test_a_container_ends_though_its_server_takes_nothing(daemon: Daemon, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        # fmt: off
        daemon.transom(
            "run", "-d", "--name", name, "--log-driver", "syslog", "--log-opt",
            f"syslog-address=tcp://127.0.0.1:{server.getsockname()[1]}", daemon.busybox, "seq", "1", "1000000",
        )
        # fmt: on
        connection, _ = server.accept()
        with connection:
            daemon.transom("kill", name)
            wait_for(lambda: inspect(daemon, name)["State"]["Status"] == "exited")  # type: ignore[index]


def test_a_killed_log_process_is_replaced(daemon: Daemon, name: str) -> None:
    # fmt: off
    daemon.transom(
        "run", "-d", "-i", "--name", name, "--log-opt", "mode=non-blocking", daemon.busybox, "sh", "-c",
        "echo before; read line; echo got $line",
    )
    # fmt: on
    wait_for(lambda: daemon.transom("logs", name).stdout == "before\n")
    shim = shim_of(daemon, name)
    (writer,) = children(shim, "transom-log")
    os.kill(writer, signal.SIGKILL)
    wait_for(lambda: not children(shim, "transom-log"))
    done = daemon.transom("attach", name, input="it\n")
    assert done.stdout == "got it\n"
    assert daemon.transom("wait", name).stdout == "0\n"
    assert daemon.transom("logs", name).stdout == "before\ngot it\n"


def test_a_killed_shim_leaves_no_log_process(daemon: Daemon, name: str) -> None:
    daemon.transom("run", "-d", "--name", name, "--log-opt", "mode=non-blocking", daemon.busybox, "sleep", "1000")
    shim = shim_of(daemon, name)
    (writer,) = children(shim, "transom-log")
    os.kill(shim, signal.SIGKILL)
    wait_for(lambda: inspect(daemon, name)["State"]["Status"] == "exited")  # type: ignore[index]
    wait_for(lambda: has_ended(writer))


# What goes wrong


@pytest.mark.parametrize("driver", READABLE)
def test_a_killed_daemon_costs_no_line(own_daemon: Daemon, driver: str) -> None:
    daemon = own_daemon
    # fmt: off
    daemon.transom(
        "run", "-d", "--name", "box", "--log-driver", driver, "--log-opt", "max-size=10k", "--log-opt", "max-file=500",
        daemon.busybox, "sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; sleep 1000",
    )
    # fmt: on
    daemon.kill()
    daemon.start()
    wait_for(lambda: daemon.transom("logs", "-n", "1", "box").stdout == "2999\n")
    assert daemon.transom("logs", "box").stdout.splitlines() == [str(number) for number in range(3000)]


@pytest.mark.parametrize("driver", READABLE)
def test_what_was_logged_before_the_shim_was_killed_is_read_and_gone_on_with(
    daemon: Daemon, name: str, driver: str
) -> None:
    # fmt: off
    daemon.transom(
        "run", "-d", "--name", name, "--log-driver", driver, daemon.busybox, "sh", "-c", "echo started; sleep 1000",
    )
    # fmt: on
    wait_for(lambda: daemon.transom("logs", name).stdout == "started\n")
    log = next((daemon.data_root / "containers").glob("*/**/*.log"))
    followed = follow(daemon, name)
    os.kill(shim_of(daemon, name), signal.SIGKILL)
    assert receive_until(followed, b"0\r\n\r\n")
    followed.close()
    # As if it had been killed in the middle of a write.
    content = log.read_bytes()
    with log.open("ab") as file:
        file.write(content[: len(content) // 2])
    assert daemon.transom("logs", name).stdout == "started\n"
    daemon.transom("start", name)
    wait_for(lambda: daemon.transom("logs", name).stdout == "started\nstarted\n")


def test_a_log_that_is_truncated_and_removed_is_followed_on(daemon: Daemon, name: str) -> None:
    # fmt: off
    daemon.transom(
        "run", "-d", "-i", "--name", name, daemon.busybox, "sh", "-c",
        "for number in 1 2 3; do read line; echo got $line; done",
    )
    # fmt: on
    path = Path(str(inspect(daemon, name)["LogPath"]))
    followed = follow(daemon, name)
    with subprocess.Popen([TRANSOM, "-H", daemon.host, "attach", name], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL) as attached:  # fmt: skip
        assert attached.stdin is not None

        def say(word: bytes) -> None:
            attached.stdin.write(word + b"\n")  # type: ignore[union-attr]
            attached.stdin.flush()  # type: ignore[union-attr]
            assert receive_until(followed, b"got " + word + b"\n")

        say(b"first")
        os.truncate(path, 0)
        say(b"2")
        path.unlink()
        say(b"third")
        attached.stdin.close()
    assert receive_until(followed, b"0\r\n\r\n")
    followed.close()
    assert daemon.transom("logs", name).stdout == "got third\n"


# What is refused, and defaults


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--log-driver", "nosuch"),
            "logger: no log driver named 'nosuch' is registered; there are: journald, json-file, local, none, syslog",
        ),
        (("--log-opt", "nosuch=1"), "unknown log opt 'nosuch' for json-file log driver"),
        (("--log-driver", "local", "--log-opt", "nosuch=1"), "unknown log opt 'nosuch' for log driver local"),
        (("--log-opt", "mode=fast"), "logger: logging mode not supported: fast"),
        (
            ("--log-opt", "max-buffer-size=1m"),
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(daemon: Daemon, arguments: tuple[str, ...], message: str) -> None:
    created = daemon.docker("create", "--name", "wrong", *arguments, daemon.busybox, "true", check=False)
    assert created.returncode == 1
    assert created.stderr == f"Error response from daemon: {message}\n"
    assert daemon.docker("ps", "-aq", "-f", "name=wrong").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "configuration"),
    [
        ((), 'log-driver = "local"\nlog-opts = { max-size = "5m", labels = "tier" }\n'),
        (("--log-driver", "local", "--log-opt", "max-size=5m", "--log-opt", "labels=tier"), ""),
    ],
)
def test_the_daemon_has_defaults_that_fit_their_driver_only(
    tmp_path: Path, registry: Registry, arguments: tuple[str, ...], configuration: str
) -> None:
    with Daemon(tmp_path, *arguments, configuration=configuration) as daemon:
        daemon.transom("pull", "-q", registry.busybox)
        assert daemon.docker("info", "-f", "{{.LoggingDriver}}").stdout == "local\n"
        assert set(READABLE) | {"none"} <= set(daemon.docker("info", "-f", '{{join .Plugins.Log " "}}').stdout.split())
        configs = {}
        for name, options in (
            ("plain", ()),
            ("own", ("--log-opt", "max-size=1m")),
            ("other", ("--log-driver", "json-file")),
        ):
            daemon.docker("create", "--name", name, *options, registry.busybox, "true")
            configs[name] = inspect(daemon, name)["HostConfig"]["LogConfig"]  # type: ignore[index]
        assert configs == {
            "plain": {"Type": "local", "Config": {"max-size": "5m", "labels": "tier"}},
            "own": {"Type": "local", "Config": {"max-size": "1m", "labels": "tier"}},
            "other": {"Type": "json-file", "Config": {}},
        }


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ('log-opts = { colour = "red" }', "unknown log opt 'colour' for json-file log driver"),
        ("log-opts = { max-size = 5 }", "should be a table of strings"),
        ('log-driver = "nosuch"\nlog-opts = { a = "b" }', "logger: no log driver named 'nosuch' is registered"),
    ],
)
def test_defaults_that_cannot_be_are_refused_at_the_start(tmp_path: Path, configuration: str, message: str) -> None:
    daemon = Daemon(tmp_path, configuration=configuration)
    with pytest.raises(AssertionError, match="did not start"):
        daemon.start()
    assert message in daemon.log()
    daemon.process = None
