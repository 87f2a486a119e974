"""Nothing depends on the daemon staying alive."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from socket import SocketIO

from docker import DockerClient

from testbed.daemon import Daemon
from testbed.waiting import wait_for


def inspect(daemon: Daemon, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(daemon.docker("inspect", name).stdout)[0]["State"]
    return found


def identity(daemon: Daemon, name: str) -> str:
    return daemon.docker("inspect", "-f", "{{.Id}}", name).stdout.strip()


def test_ten_containers_run_on_while_the_daemon_is_killed(own_daemon: Daemon) -> None:
    daemon = own_daemon
    for index in range(5):
        script = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done"
        daemon.docker("run", "-d", "--name", f"long{index}", daemon.busybox, "sh", "-c", script)
    sign = daemon.directory / "sign"
    sign.mkdir()
    for index in range(5):
        script = f"while [ ! -e /sign/end ]; do sleep 0.1; done; seq 10 | sed 's/^/line /'; exit {index + 10}"
        daemon.docker("run", "-d", "--name", f"short{index}", "-v", f"{sign}:/sign", daemon.busybox, "sh", "-c", script)
    pids = {f"long{index}": inspect(daemon, f"long{index}")["Pid"] for index in range(5)}
    ended = [daemon.exec_root / "shims" / identity(daemon, f"short{index}") / "exit" for index in range(5)]
    daemon.kill()
    (sign / "end").touch()
    wait_for(lambda: all(path.exists() for path in ended))
    daemon.start()
    for name, pid in pids.items():
        assert inspect(daemon, name)["Pid"] == pid
        assert inspect(daemon, name)["Running"] is True
        lines = daemon.docker("logs", name).stdout.splitlines()
        assert lines == [f"line {number + 1}" for number in range(len(lines))]
        assert len(lines) > 10
    for index in range(5):
        short = inspect(daemon, f"short{index}")
        assert (short["Status"], short["ExitCode"]) == ("exited", index + 10)
        assert daemon.docker("logs", f"short{index}").stdout == "".join(f"line {n}\n" for n in range(1, 11))
    assert daemon.docker("exec", "long0", "echo", "still here").stdout == "still here\n"
    daemon.docker("stop", "-t", "0", "long0")
    assert inspect(daemon, "long0")["ExitCode"] == 137


def test_an_attached_connection_stays_attached(own_daemon: Daemon) -> None:
    # The stock client itself gives up when its other connection, the one that waits, is cut.
    daemon = own_daemon
    client = DockerClient(daemon.host)
    created = client.api.create_container(daemon.busybox, "cat", name="echo", tty=True, stdin_open=True)
    stream = client.api.attach_socket(created, {"stdin": 1, "stdout": 1, "stream": 1})
    client.api.start(created)
    stream._sock.settimeout(20)
    stream._sock.sendall(b"before\n")
    assert read_until(stream, b"before\r\nbefore\r\n")
    daemon.kill()
    stream._sock.sendall(b"after\n")
    assert read_until(stream, b"after\r\nafter\r\n")
    stream._sock.sendall(b"\x04")
    assert stream._sock.recv(100) == b""
    daemon.start()
    assert inspect(daemon, "echo")["ExitCode"] == 0
    client.close()


def read_until(stream: SocketIO, wanted: bytes) -> bool:
    got = b""
    while wanted not in got:
        data = stream._sock.recv(100)
        if not data:
            return False
        got += data
    return True


def test_a_killed_shim_is_noticed_and_cleaned_up(own_daemon: Daemon) -> None:
    daemon = own_daemon
    daemon.docker("run", "-d", "--name", "victim", daemon.busybox, "sleep", "1000")
    init = int(str(inspect(daemon, "victim")["Pid"]))
    os.kill(_parent(init), signal.SIGKILL)
    wait_for(lambda: inspect(daemon, "victim")["Status"] == "exited")
    wait_for(lambda: is_dead(init))
    daemon.docker("start", "victim")
    assert inspect(daemon, "victim")["Running"] is True


def test_shim_and_daemon_killed_together_leave_nothing(own_daemon: Daemon) -> None:
    daemon = own_daemon
    daemon.docker("run", "-d", "--name", "victim", daemon.busybox, "sleep", "1000")
    init = int(str(inspect(daemon, "victim")["Pid"]))
    shim = _parent(init)
    daemon.kill()
    os.kill(shim, signal.SIGKILL)
    daemon.start()
    assert inspect(daemon, "victim")["Status"] == "exited"
    assert inspect(daemon, "victim")["ExitCode"] == 255
    wait_for(lambda: is_dead(init))


def test_containers_restart_with_the_daemon_as_their_policy_says(own_daemon: Daemon) -> None:
    daemon = own_daemon
    daemon.docker("run", "-d", "--restart", "always", "--name", "again", daemon.busybox, "sleep", "1000")
    daemon.docker("run", "-d", "--restart", "unless-stopped", "--name", "stopped", daemon.busybox, "sleep", "1000")
    daemon.docker("stop", "-t", "0", "stopped")
    init = int(str(inspect(daemon, "again")["Pid"]))
    daemon.kill()
    os.kill(init, signal.SIGKILL)
    daemon.start()
    wait_for(lambda: inspect(daemon, "again")["Running"])
    assert inspect(daemon, "stopped")["Running"] is False


def test_a_second_daemon_on_one_root_is_refused(own_daemon: Daemon) -> None:
    second = subprocess.run(
        [
            str(Path(sys.executable).parent / "transom"),
            "daemon",
            "--data-root",
            str(own_daemon.data_root),
            "--exec-root",
            f"{own_daemon.exec_root}-2",
            "-H",
            f"unix://{own_daemon.directory}/second.sock",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 1
    assert "another daemon" in second.stderr
    assert own_daemon.docker("version").returncode == 0


def test_the_daemon_stops_cleanly_and_its_containers_run_on(own_daemon: Daemon) -> None:
    daemon = own_daemon
    daemon.docker("run", "-d", "--name", "on", daemon.busybox, "sleep", "1000")
    pid = inspect(daemon, "on")["Pid"]
    assert daemon.stop() == 0
    assert not daemon.socket.exists()
    assert Path(f"/proc/{pid}").exists()
    daemon.start()
    assert inspect(daemon, "on")["Pid"] == pid


def test_a_kill_at_any_moment_of_a_run_leaves_no_half_made_container(own_daemon: Daemon) -> None:
    daemon = own_daemon
    for delay in (0.0, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2):
        client = subprocess.Popen(
            ["docker", "-H", daemon.host, "run", "--rm", "-v", "/anonymous", daemon.busybox, "true"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(delay)
        daemon.kill()
        client.wait(30)
        daemon.start()
        wait_for(lambda: daemon.docker("ps", "-aq").stdout == "")
    assert daemon.docker("run", "--rm", daemon.busybox, "echo", "fine").stdout == "fine\n"
    assert list((daemon.data_root / "containers").iterdir()) == []
    assert [path.name for path in (daemon.exec_root / "shims").iterdir() if path.is_dir()] == []


def is_dead(process: int) -> bool:
    """Whether a process is gone, or only waits for the machine's init to take notice."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _parent(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid")))
