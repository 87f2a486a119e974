"""The life of a container through the stock client: create, start, stop, logs, exec, attach, wait, remove."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from testbed.daemon import GRAPHDRIVER, Daemon
from testbed.waiting import wait_for, wait_for_log


@pytest.fixture
def name(daemon: Daemon, request: pytest.FixtureRequest) -> object:
    name = f"c-{abs(hash(request.node.name)) % 10**8}"
    yield name
    daemon.docker("rm", "-fv", name, check=False)


def state(daemon: Daemon, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(daemon.docker("inspect", name).stdout)[0]["State"]
    return found


def test_a_container_goes_through_its_states(daemon: Daemon, name: str) -> None:
    daemon.docker("create", "--name", name, daemon.busybox, "sleep", "100")
    assert state(daemon, name)["Status"] == "created"
    daemon.docker("start", name)
    running = state(daemon, name)
    assert (running["Status"], running["Running"]) == ("running", True)
    daemon.docker("stop", "-t", "0", name)
    ended = state(daemon, name)
    assert (ended["Status"], ended["ExitCode"], ended["Pid"]) == ("exited", 137, 0)
    daemon.docker("start", name)
    assert state(daemon, name)["Status"] == "running"
    daemon.docker("restart", "-t", "0", name)
    assert state(daemon, name)["Status"] == "running"


def test_what_a_container_wrote_is_there_after_a_restart(daemon: Daemon, name: str) -> None:
    daemon.docker("run", "--name", name, daemon.busybox, "sh", "-c", "cat /kept 2>/dev/null; echo was here > /kept")
    assert daemon.docker("start", "-a", name).stdout == "was here\n"


def test_stop_is_polite_first(daemon: Daemon, name: str) -> None:
    script = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    daemon.docker("run", "-d", "--name", name, daemon.busybox, "sh", "-c", script)
    wait_for_log(daemon, name, "ready")
    daemon.docker("stop", name)
    assert state(daemon, name)["ExitCode"] == 3
    assert daemon.docker("logs", name).stdout == "ready\nbye\n"


def test_logs_have_both_streams_times_and_tails(daemon: Daemon, name: str) -> None:
    daemon.docker(
        "run",
        "--name",
        name,
        daemon.busybox,
        "sh",
        "-c",
        "for i in 1 2 3; do echo out$i; echo err$i >&2; sleep 0.05; done",
    )
    logs = daemon.docker("logs", name)
    assert logs.stdout == "out1\nout2\nout3\n"
    assert logs.stderr == "err1\nerr2\nerr3\n"
    assert daemon.docker("logs", "--tail", "1", name).stderr == "err3\n"
    stamp, _, text = daemon.docker("logs", "-t", name).stdout.splitlines()[0].partition(" ")
    assert (text, stamp[-1]) == ("out1", "Z")
    third = daemon.docker("logs", "-t", name).stdout.splitlines()[2].partition(" ")[0]
    assert daemon.docker("logs", "--since", third, name).stdout == "out3\n"
    assert daemon.docker("logs", "--until", stamp, name).stdout == "out1\n"


def test_followed_logs_end_with_the_container(daemon: Daemon, name: str) -> None:
    daemon.docker(
        "run", "-d", "--name", name, daemon.busybox, "sh", "-c", "for i in 1 2 3 4; do echo $i; sleep 0.2; done"
    )
    assert daemon.docker("logs", "-f", name).stdout == "1\n2\n3\n4\n"


def test_a_process_is_added_to_a_running_container(daemon: Daemon, name: str) -> None:
    daemon.docker("run", "-d", "--name", name, "-e", "A=1", daemon.busybox, "sleep", "100")
    done = daemon.docker("exec", "-e", "B=2", name, "sh", "-c", "echo $A $B; echo err >&2; exit 9", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("1 2\n", "err\n", 9)
    assert daemon.docker("exec", "-i", name, "cat", input="through\n").stdout == "through\n"
    assert daemon.docker("exec", "-u", "alice", "-w", "/tmp", name, "sh", "-c", "id -un; pwd").stdout == "alice\n/tmp\n"


@pytest.mark.parametrize("execdriver", ["namespaces", "chroot"])
def test_an_exec_shares_the_containers_files_and_ends_with_it(daemon: Daemon, name: str, execdriver: str) -> None:
    script = "echo x > /made; echo ready; sleep 100"
    daemon.docker("run", "-d", "--runtime", execdriver, "--name", name, daemon.busybox, "sh", "-c", script)
    wait_for_log(daemon, name, "ready")
    assert daemon.docker("exec", name, "cat", "/made").stdout == "x\n"
    begun = ["docker", "-H", daemon.host, "exec", name, "sh", "-c", "touch /begun; sleep 100"]
    waiting = subprocess.Popen(begun)
    wait_for(lambda: daemon.docker("exec", name, "test", "-e", "/begun", check=False).returncode == 0)
    daemon.docker("rm", "-f", name)
    assert waiting.wait(20) == 137


def test_an_exec_that_cannot_be_executed_has_a_shells_exit_code(daemon: Daemon, name: str) -> None:
    daemon.docker("run", "-d", "--name", name, daemon.busybox, "sleep", "100")
    for client in (daemon.docker, daemon.transom):
        done = client("exec", name, "nowhere", check=False)
        assert done.returncode == 127
        assert "executable file not found in $PATH" in done.stdout + done.stderr
        assert client("exec", name, "/etc/passwd", check=False).returncode == 126


def test_an_exec_has_a_terminal(daemon: Daemon, name: str) -> None:
    daemon.docker("run", "-d", "--name", name, daemon.busybox, "sleep", "100")
    command = f"docker -H {daemon.host} exec -it {name} sh -c 'tty && exit 4'"
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"], capture_output=True, stdin=subprocess.DEVNULL, timeout=60
    )
    assert b"/dev/pts/" in done.stdout
    assert done.returncode == 4


def test_an_exec_in_a_stopped_container_is_refused(daemon: Daemon, name: str) -> None:
    daemon.docker("create", "--name", name, daemon.busybox, "true")
    done = daemon.docker("exec", name, "true", check=False)
    assert done.returncode == 1
    assert "is not running" in done.stderr


def test_a_client_attaches_and_detaches(daemon: Daemon, name: str) -> None:
    daemon.docker("run", "-dit", "--name", name, daemon.busybox, "sh")
    attached = subprocess.Popen(
        ["script", "-qec", f"docker -H {daemon.host} attach {name}", "/dev/null"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**daemon.environment(), "TERM": "xterm"},
    )
    assert attached.stdin is not None
    assert attached.stdout is not None
    attached.stdin.write(b"echo $((6*7))\n")
    attached.stdin.flush()
    assert any(b"42" in line for line in attached.stdout)
    attached.stdin.write(b"\x10\x11")
    attached.stdin.flush()
    attached.communicate(timeout=60)
    assert state(daemon, name)["Running"] is True


def test_wait_gives_the_exit_code(daemon: Daemon, name: str) -> None:
    daemon.docker("run", "-d", "--name", name, daemon.busybox, "sh", "-c", "sleep 0.3; exit 6")
    assert daemon.docker("wait", name).stdout == "6\n"
    assert daemon.docker("wait", name).stdout == "6\n"


@pytest.mark.parametrize("client", ["docker", "transom"])
def test_conflicting_commands_say_what_is_wrong(daemon: Daemon, name: str, client: str) -> None:
    command = getattr(daemon, client)
    command("run", "-d", "--name", name, daemon.busybox, "sleep", "100")
    for arguments, sentence in (
        (("run", "--name", name, daemon.busybox, "true"), f'The container name "/{name}" is already in use'),
        (("rm", name), "container is running"),
        (("rmi", daemon.busybox), "conflict"),
        (("start", "nobody"), "No such container: nobody"),
        (("kill", "-s", "NOTHING", name), "Invalid signal: NOTHING"),
        (("logs", "nobody"), "No such container: nobody"),
        (("volume", "rm", "nothing"), "no such volume"),
    ):
        done = command(*arguments, check=False)
        assert done.returncode in (1, 125), arguments
        assert sentence in done.stderr, arguments
    assert state(daemon, name)["Running"] is True


def test_containers_are_listed_and_filtered(daemon: Daemon, name: str) -> None:
    daemon.docker("run", "-d", "--name", name, "--label", "tier=web", daemon.busybox, "sleep", "100")
    for query in (f"name={name}", "label=tier", "label=tier=web", f"ancestor={daemon.busybox}"):
        shown = daemon.docker("ps", "--filter", query, "--format", "{{.Names}} {{.State}}").stdout
        assert f"{name} running" in shown.splitlines(), query
    assert daemon.docker("ps", "--filter", "label=tier=db", "-q").stdout == ""
    assert daemon.docker("ps", "--filter", "nonsense=1", check=False).returncode == 1


def test_what_is_asked_with_rm_is_removed_at_its_end(daemon: Daemon, name: str) -> None:
    daemon.docker("run", "--rm", "-d", "--name", name, "-v", "/anonymous", daemon.busybox, "sleep", "0.3")
    wait_for(lambda: daemon.docker("inspect", name, check=False).returncode)
    assert daemon.docker("volume", "ls", "-q").stdout == ""


@pytest.mark.parametrize(("policy", "starts"), [("on-failure:2", 3), ("no", 1)])
def test_a_restart_policy_is_kept(daemon: Daemon, name: str, policy: str, starts: int) -> None:
    daemon.docker("run", "-d", "--restart", policy, "--name", name, daemon.busybox, "sh", "-c", "echo again; exit 1")
    wait_for(lambda: state(daemon, name)["Status"] == "exited")
    # Another start would follow within this time.
    time.sleep(0.5)
    assert daemon.docker("logs", name).stdout == "again\n" * starts
    assert state(daemon, name)["Status"] == "exited"


def test_events_tell_a_containers_life(daemon: Daemon, name: str) -> None:
    begin = f"{time.time():.6f}"
    daemon.docker("run", "--name", name, daemon.busybox, "sh", "-c", "exit 4", check=False)
    daemon.docker("rm", name)
    lines = daemon.docker(
        "events",
        "--since",
        begin,
        "--until",
        f"{time.time() + 0.1:.6f}",
        "--filter",
        f"container={name}",
        "--format",
        "{{json .}}",
    ).stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["Action"] for event in events] == ["create", "attach", "start", "die", "destroy"]
    died = next(event for event in events if event["Action"] == "die")
    assert died["Actor"]["Attributes"]["exitCode"] == "4"
    assert died["Actor"]["Attributes"]["name"] == name


@pytest.mark.parametrize("execdriver", ["namespaces", "chroot"])
def test_an_execs_directory_leads_nowhere_through_a_descriptor(daemon: Daemon, name: str, execdriver: str) -> None:
    daemon.docker("run", "-d", "--runtime", execdriver, "--name", name, daemon.busybox, "sleep", "100")
    for number in range(3, 24):
        done = daemon.docker("exec", "-w", f"/proc/self/fd/{number}", name, "ls", "..", check=False)
        assert done.returncode != 0, number


def test_a_container_with_rm_can_be_stopped_and_restarted(daemon: Daemon, name: str) -> None:
    daemon.docker("run", "-d", "--rm", "--name", name, daemon.busybox, "sleep", "100")
    daemon.docker("restart", "-t", "0", name)
    assert state(daemon, name)["Running"] is True
    daemon.docker("stop", "-t", "0", name)
    assert daemon.docker("ps", "-aq", "--filter", f"name={name}").stdout == ""


def test_the_machines_users_do_not_reach_a_containers_files(daemon: Daemon, name: str) -> None:
    script = "cp /bin/busybox /su; chmod 4755 /su; echo ready; sleep 100"
    daemon.docker("run", "-d", "--name", name, daemon.busybox, "sh", "-c", script)
    wait_for_log(daemon, name, "ready")
    mounts = daemon.exec_root / "mounts" / GRAPHDRIVER
    (mount,) = [path for path in mounts.iterdir() if (path / "su").exists()]
    with pytest.raises(PermissionError):
        subprocess.run([str(mount / "su"), "id", "-u"], user=65534, check=False)
