"""A step of a build goes elsewhere with the client's keys: OpenSSH's client in the step, its server on the machine."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from testbed.daemon import Daemon
from testbed.waiting import wait_for

TEXT = """\
FROM BASE
COPY . /
RUN --mount=type=ssh,required --network=host \\
    ssh -p PORT -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null root@127.0.0.1 'echo were there'
"""


def make_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A server of SSH and the key that it lets in: its port, and the file of the key."""
    directory = tmp_path_factory.mktemp("sshd")
    key = make_key(directory / "key")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port: int = free.getsockname()[1]
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": make_key(directory / "host"),
        "AuthorizedKeysFile": f"{key}.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PermitRootLogin": "yes",
    }
    (directory / "config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    log = directory / "log"
    log.touch()
    serving = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", directory / "config", "-E", log])
    try:
        wait_for(lambda: "Server listening" in log.read_text())
        yield port, key
    finally:
        serving.terminate()
        serving.wait()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, server: tuple[int, Path], daemon: Daemon) -> Path:
    """A context with OpenSSH's client and the libraries that it needs."""
    directory = tmp_path_factory.mktemp("place")
    program = shutil.which("ssh")
    assert program is not None
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for path in (program, *re.findall(r"(/\S+) \(0x", linked)):
        (directory / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, directory / path[1:])
    (directory / "etc").mkdir()
    (directory / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (directory / "Dockerfile").write_text(TEXT.replace("BASE", daemon.busybox).replace("PORT", str(server[0])))
    return directory


def build(daemon: Daemon, place: Path, ssh: str, *, check: bool = True) -> str:
    flags = ("--progress", "plain", "--no-cache-filter", "0", "--allow", "network.host", "--ssh", ssh)
    return daemon.transom("build", *flags, str(place), check=check).stderr


def agents() -> set[str]:
    return set(subprocess.run(["pgrep", "-x", "ssh-agent"], capture_output=True, text=True).stdout.split())


def test_a_key_of_a_file_lets_a_step_in_and_no_agent_stays(
    daemon: Daemon, place: Path, server: tuple[int, Path], tmp_path: Path
) -> None:
    before, (_, key) = agents(), server
    other = make_key(tmp_path / "other")
    key.chmod(0o644)
    assert "were there" in build(daemon, place, f"default={other},{key}")
    assert "Permission denied" in build(daemon, place, f"default={other}", check=False)
    wait_for(lambda: agents() <= before)


def test_the_users_own_agent(daemon: Daemon, place: Path, server: tuple[int, Path], tmp_path: Path) -> None:
    path, (_, key) = tmp_path / "agent", server
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        wait_for(path.exists)
        key.chmod(0o600)
        subprocess.run(["ssh-add", "-q", key], env={"SSH_AUTH_SOCK": str(path)}, check=True)
        assert "were there" in build(daemon, place, f"default={path}")
    finally:
        agent.terminate()
        agent.wait()
