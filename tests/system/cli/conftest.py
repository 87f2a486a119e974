"""A dockerd to compare with, and the two clients."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pytest

from testbed.peer import Peer as Dockerd
from testbed.registry import Registry

#: Every container and volume of these tests has this in its name, so that they can be taken away.
MARK = "clitest"


class Result(NamedTuple):
    """What a command wrote and its exit status, without what differs between any two runs."""

    stdout: str
    stderr: str
    status: int


def normalise(text: str) -> str:
    """Give both programs one name, and replace IDs, ages and host names, which no two containers share."""
    text = re.sub("docker", "transom", text, flags=re.IGNORECASE)
    text = re.sub("Transom", "transom", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "<id>", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "<short-id>", text)
    # Ages change between two commands, and with them the widths of their columns.
    text = re.sub(r"(Up )?(?:Less than a second|About a minute|\d+ (?:seconds?|minutes))( ago)? *", "<age>", text)
    text = re.sub(r"(CREATED|STATUS) +", r"\1 ", text)
    return re.sub(r"\d{4}-\d{2}-\d{2}[T ][\d:.]+(?:Z| \+0000 UTC)", "<time>", text)


#: What to wait for, and what to do then: type something, or change the window's rows and columns.
Keys = Sequence[tuple[str, str | tuple[int, int]]]


@dataclass(frozen=True)
class Peer:
    """A dockerd, and how to run a client against it."""

    host: str

    def run(self, client: str, arguments: Sequence[str], stdin: str = "") -> Result:
        """Run `docker` or `transom`."""
        command = ["docker", "-H", self.host, *arguments] if client == "docker" else self.transom(*arguments)
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
        return Result(normalise(done.stdout), normalise(done.stderr), done.returncode)

    def docker(self, *arguments: str) -> str:
        """Run the stock client, which must succeed, and return what it wrote."""
        return subprocess.run(
            ["docker", "-H", self.host, *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    def transom(self, *arguments: str) -> list[str]:
        """Return the command line of our client."""
        return [sys.executable, "-m", "transom_cli", "-H", self.host, *arguments]


def on_a_terminal(command: list[str], keys: Keys = ()) -> Result:
    """Run a command on a terminal of 30 rows and 100 columns.

    Each of `keys` is what to wait for in the output after the one before, and what to type then, or the new size
    of the window.
    """
    pid, master = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    _resize(master, 30, 100)
    output, seen, steps = b"", 0, list(keys)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.2)[0]:
            try:
                output += os.read(master, 65536)
            except OSError:
                # EIO: the last process on the terminal has ended.
                break
        found = output.find(steps[0][0].encode(), seen) if steps else -1
        if found >= 0:
            seen = len(output)
            _act(master, steps.pop(0)[1])
    else:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    os.close(master)
    return Result(output.decode(errors="replace"), "", os.waitstatus_to_exitcode(status))


def _act(master: int, action: str | tuple[int, int]) -> None:
    if isinstance(action, str):
        os.write(master, action.encode())
    else:
        _resize(master, *action)


def _resize(master: int, rows: int, columns: int) -> None:
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@pytest.fixture(scope="session")
def peer_docker_host(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[str]:
    """The address of a dockerd that has busybox:latest."""
    with Dockerd(tmp_path_factory.mktemp("dockerd")) as dockerd:
        dockerd.docker("pull", "-q", registry.busybox)
        dockerd.docker("tag", registry.busybox, "busybox:latest")
        dockerd.docker("rmi", registry.busybox)
        yield dockerd.host


@pytest.fixture(scope="session")
def peer(peer_docker_host: str) -> Iterator[Peer]:
    """A dockerd without what earlier tests left."""
    peer = Peer(peer_docker_host)
    _clean(peer)
    yield peer
    _clean(peer)


def _clean(peer: Peer) -> None:
    for kind, remove in (("ps -aq", "rm -fv"), ("volume ls -q", "volume rm")):
        names = peer.docker(*kind.split(), "-f", f"name={MARK}").split()
        if names:
            peer.docker(*remove.split(), *names)


@pytest.fixture
def running(peer: Peer) -> Iterator[str]:
    """A running container that has a label, two open ports and a volume; its name."""
    name = f"{MARK}-running"
    peer.docker(
        "run", "-d", "--name", name, "-l", "color=red", "-v", f"{MARK}-volume:/data", "--expose", "80-81",
        "busybox", "sleep", "1000",
    )  # fmt: skip
    yield name
    peer.docker("rm", "-f", name)
    peer.docker("volume", "rm", f"{MARK}-volume")


@pytest.fixture
def ended(peer: Peer) -> Iterator[str]:
    """A container that wrote to both streams and ended with 3; its name."""
    name = f"{MARK}-ended"
    peer.docker("create", "--name", name, "busybox", "sh", "-c", "echo out; echo err >&2; exit 3")
    peer.docker("start", name)
    peer.docker("wait", name)
    yield name
    peer.docker("rm", "-f", name)


@pytest.fixture
def same(peer: Peer) -> Callable[..., Result]:
    """Run a command line with both clients, compare all that they show, and return it."""

    def compare(*arguments: str, stdin: str = "") -> Result:
        expected = peer.run("docker", arguments, stdin)
        found = peer.run("transom", arguments, stdin)
        assert found == expected
        return found

    return compare


@pytest.fixture
def terminal(peer: Peer) -> Callable[..., Result]:
    """Run our client on a terminal: `terminal(arguments, keys)`."""

    def run(arguments: Sequence[str], keys: Keys = ()) -> Result:
        return on_a_terminal(peer.transom(*arguments), keys)

    return run


@pytest.fixture
def play() -> Callable[..., Result]:
    """Run any command on a terminal: `play(command, keys)`."""
    return on_a_terminal


@pytest.fixture
def shell_on_a_terminal() -> Callable[[str], Result]:
    """Run a script of `sh` on a terminal."""
    return lambda script: on_a_terminal(["/bin/sh", "-c", script])
