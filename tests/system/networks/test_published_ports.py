"""Published ports: reachable from the machine and from outside, on both families, whether the engine runs or not."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.daemon import Daemon
from testbed.waiting import wait_for
from transom.runtime.syscalls.mounts import MNT_DETACH, mount, umount2

#: A server that says hello to everybody, and what asks it from a container.
HELLO = ("sh", "-c", "mkdir -p /www && echo hello >/www/index.html && exec httpd -f -p 80 -h /www")
ASK = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {} {}"
#: A UDP server that says everything back.
ECHO = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 53))
while True:
    server.sendto(*server.recvfrom(100))
"""


def fetch(address: str, port: int) -> str:
    """Return what a server says, empty if there is none."""
    try:
        with socket.create_connection((address, port), 5) as connection:
            connection.settimeout(5)
            connection.send(b"GET / HTTP/1.0\r\n\r\n")
            return connection.makefile().read().replace("\r", "").rpartition("\n\n")[2]
    except OSError:
        return ""


def ask(address: str, port: int, text: str) -> str:
    """Return what a UDP server answers, empty if it does not."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        try:
            client.connect((address, port))
            client.send(text.encode())
            return client.recv(100).decode()
        except OSError:
            return ""


@pytest.fixture
def own_names() -> Iterator[None]:
    """Namespaces have their names in files, which would be the machine's and every other run's."""
    names = Path("/run/netns")
    names.mkdir(exist_ok=True)
    mount("none", names, "tmpfs", 0)
    yield
    umount2(names, MNT_DETACH)


@pytest.fixture
def outside(own_names: None) -> Iterator[str]:
    """The name of a namespace that is wired to the machine: 192.0.2.1 is the machine, 192.0.2.2 the outside."""
    for command in (
        "ip netns add outside",
        "ip link add out0 type veth peer name out1 netns outside",
        "ip addr add 192.0.2.1/24 dev out0",
        "ip link set out0 up",
        "ip -n outside addr add 192.0.2.2/24 dev out1",
        "ip -n outside link set out1 up",
        "ip -n outside link set lo up",
    ):
        subprocess.run(command.split(), check=True)
    yield "outside"
    subprocess.run(["ip", "netns", "del", "outside"], check=True)
    wait_for(lambda: subprocess.run(["ip", "link", "show", "out0"], capture_output=True).returncode)


@pytest.fixture(autouse=True)
def no_containers(daemon: Daemon) -> Iterator[None]:
    """Every test begins and ends without containers."""
    yield
    containers = daemon.docker("ps", "-aq").stdout.split()
    if containers:
        daemon.docker("rm", "-f", *containers)


def serve(daemon: Daemon, name: str, *options: str) -> str:
    """Start a server and return its address."""
    daemon.docker("run", "-d", "--name", name, *options, daemon.busybox, *HELLO)
    shown = daemon.docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", name).stdout.strip()
    wait_for(lambda: fetch(shown, 80))
    return shown


def test_a_published_port_is_reached_on_both_families(daemon: Daemon) -> None:
    serve(daemon, "web", "-p", "8080:80")
    for address in ("127.0.0.1", "::1"):
        assert fetch(address, 8080) == "hello\n"
    assert daemon.docker("port", "web").stdout.splitlines() == ["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"]
    assert "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp" in daemon.docker("ps").stdout
    for name, value in (("publish", "8080"), ("publish", "8000-8100/tcp"), ("expose", "80/tcp")):
        assert daemon.docker("ps", "--filter", f"{name}={value}", "--format", "{{.Names}}").stdout == "web\n"
    assert daemon.docker("ps", "-q", "--filter", "publish=80").stdout == ""
    assert "invalid" in daemon.docker("ps", "--filter", "publish=x", check=False).stderr
    daemon.docker("stop", "-t", "0", "web")
    assert fetch("127.0.0.1", 8080) == fetch("::1", 8080) == ""
    daemon.docker("start", "web")
    wait_for(lambda: fetch("127.0.0.1", 8080) == "hello\n")


def test_an_address_limits_who_reaches_a_port(daemon: Daemon, outside: str) -> None:
    serve(daemon, "web", "-p", "127.0.0.1:8080:80", "-p", "8081:80")
    assert fetch("127.0.0.1", 8080) == "hello\n"
    assert fetch("192.0.2.1", 8080) == fetch("::1", 8080) == ""
    assert from_outside(outside, 8080) == ""
    assert from_outside(outside, 8081) == "hello\n"


def from_outside(namespace: str, port: int, address: str = "192.0.2.1") -> str:
    command = ["ip", "netns", "exec", namespace, "busybox", "nc", "-w", "2", address, str(port)]
    done = subprocess.run(command, input=b"GET / HTTP/1.0\r\n\r\n", capture_output=True)
    return done.stdout.decode().replace("\r", "").rpartition("\n\n")[2]


def test_containers_reach_the_outside_and_it_reaches_only_what_is_published(daemon: Daemon, outside: str) -> None:
    own = serve(daemon, "web", "-p", "8080:80")
    assert daemon.docker("exec", "web", "ping", "-c1", "-W2", "192.0.2.2", check=False).returncode == 0
    subprocess.run(["ip", "-n", outside, "route", "add", "default", "via", "192.0.2.1"], check=True)
    assert from_outside(outside, 80, own) == ""
    assert from_outside(outside, 8080) == "hello\n"


def test_ranges_ephemeral_ports_and_all_exposed_ones(daemon: Daemon) -> None:
    serve(daemon, "range", "-p", "9000-9001:80-81", "-p", "9100-9110:82")
    ports = json.loads(daemon.docker("inspect", "-f", "{{json .NetworkSettings.Ports}}", "range").stdout)
    assert {port: bindings[0]["HostPort"] for port, bindings in ports.items()} == {
        "80/tcp": "9000",
        "81/tcp": "9001",
        "82/tcp": "9100",
    }
    serve(daemon, "all", "-P", "--expose", "80", "-p", "83")
    ports = json.loads(daemon.docker("inspect", "-f", "{{json .NetworkSettings.Ports}}", "all").stdout)
    assert set(ports) == {"80/tcp", "83/tcp"}
    (one, other) = ports["80/tcp"]
    assert one["HostPort"] == other["HostPort"]
    assert fetch("127.0.0.1", int(one["HostPort"])) == "hello\n"
    daemon.docker("run", "-d", "--name", "next", "-p", "9100-9110:82", daemon.busybox, "sleep", "100")
    assert daemon.docker("port", "next", "82").stdout.splitlines()[0] == "0.0.0.0:9101"


@contextmanager
def inside(daemon: Daemon, container: str, program: str) -> Iterator[None]:
    """Run a Python program in a container's network for the length of a `with` block."""
    init = daemon.docker("inspect", "-f", "{{.State.Pid}}", container).stdout.strip()
    with subprocess.Popen(["nsenter", "-t", init, "-n", sys.executable, "-c", program]) as server:
        try:
            yield
        finally:
            server.kill()


def test_udp(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "echo", "-p", "8053:53/udp", daemon.busybox, "sleep", "1000")
    with inside(daemon, "echo", ECHO):
        for address in ("127.0.0.1", "::1"):
            wait_for(lambda address=address: ask(address, 8053, "hello") == "hello")  # type: ignore[misc]
    assert daemon.docker("port", "echo").stdout.splitlines()[0] == "53/udp -> 0.0.0.0:8053"


#: Sends a datagram for each line that it reads, always from the same port, and writes what comes back.
CLIENT = """
import socket, sys
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(0.2)
client.connect(("192.0.2.1", 8053))
for line in sys.stdin:
    try:
        client.send(b"?")
        print(client.recv(100).decode(), flush=True)
    except OSError:
        print("nothing", flush=True)
"""


def test_a_client_of_udp_that_goes_on_sending_finds_a_server_that_has_moved(daemon: Daemon, outside: str) -> None:
    def says(answer: str) -> bool:
        print("?", file=asking.stdin, flush=True)
        return asking.stdout is not None and asking.stdout.readline() == f"{answer}\n"

    def saying(answer: str) -> str:
        return ECHO.replace("*server.recvfrom(100)", f"b'{answer}', server.recvfrom(100)[1]")

    command = ["ip", "netns", "exec", outside, sys.executable, "-c", CLIENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asking:
        daemon.docker("run", "-d", "--name", "echo", "-p", "8053:53/udp", daemon.busybox, "sleep", "1000")
        with inside(daemon, "echo", saying("first")):
            wait_for(lambda: says("first"))
        daemon.docker("stop", "-t", "0", "echo")
        daemon.docker("run", "-d", "--name", "squatter", daemon.busybox, "sleep", "1000")
        daemon.docker("start", "echo")
        with inside(daemon, "echo", saying("second")):
            wait_for(lambda: says("second"))
        # And the same where nobody saw the first one end.
        init = int(daemon.docker("inspect", "-f", "{{.State.Pid}}", "echo").stdout)
        daemon.kill()
        os.kill(init, signal.SIGKILL)
        daemon.start()
        daemon.docker("run", "-d", "--name", "other", daemon.busybox, "sleep", "1000")
        daemon.docker("start", "echo")
        with inside(daemon, "echo", saying("third")):
            wait_for(lambda: says("third"))


def test_sctp(daemon: Daemon) -> None:
    def hear() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP) as client:
            client.settimeout(2)
            try:
                client.connect(("127.0.0.1", 8080))
                return client.recv(100)
            except OSError:
                return b""

    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        refused = daemon.docker("run", "--rm", "-p", "8080:80/sctp", daemon.busybox, "true", check=False)
        assert "Bind for 0.0.0.0:8080 failed: the kernel has no SCTP: load its module" in refused.stderr
        return
    program = (
        "import socket\n"
        "server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)\n"
        "server.bind(('0.0.0.0', 80)), server.listen()\n"
        "while True: server.accept()[0].send(b'hello')\n"
    )
    daemon.docker("run", "-d", "--name", "sctp", "-p", "8080:80/sctp", daemon.busybox, "sleep", "1000")
    with inside(daemon, "sctp", program):
        wait_for(lambda: hear() == b"hello")


def test_containers_reach_published_ports_their_own_too(daemon: Daemon) -> None:
    serve(daemon, "web", "-p", "8080:80")
    gateway = daemon.docker("inspect", "-f", "{{.NetworkSettings.Gateway}}", "web").stdout.strip()
    question = ("sh", "-c", ASK.format(gateway, 8080))
    assert daemon.docker("exec", "web", *question).stdout.endswith("hello\n")
    assert daemon.docker("run", "--rm", daemon.busybox, *question).stdout.endswith("hello\n")
    daemon.docker("network", "create", "other")
    assert daemon.docker("run", "--rm", "--network", "other", daemon.busybox, *question).stdout.endswith("hello\n")
    daemon.docker("network", "rm", "other")


def test_a_taken_port_is_refused_with_the_takers_name_and_leaves_nothing(daemon: Daemon) -> None:
    serve(daemon, "web", "-p", "8080:80")
    refused = daemon.docker("run", "--rm", "-p", "8080:80", daemon.busybox, "true", check=False)
    assert "Bind for 0.0.0.0:8080 failed: port is already allocated by the container web" in refused.stderr
    with socket.create_server(("127.0.0.1", 8090)):
        refused = daemon.docker("run", "--rm", "-p", "8089:80", "-p", "8090:80", daemon.busybox, "true", check=False)
    assert "Bind for 0.0.0.0:8090 failed: port is already allocated" in refused.stderr
    serve(daemon, "free", "-p", "8089:80", "-p", "8090:80")


def test_ports_stay_while_the_engine_is_killed_and_go_with_the_container(own_daemon: Daemon) -> None:
    daemon = own_daemon
    serve(daemon, "web", "-p", "8080:80")
    daemon.kill()
    for address in ("127.0.0.1", "::1"):
        assert fetch(address, 8080) == "hello\n"
    daemon.start()
    for address in ("127.0.0.1", "::1"):
        assert fetch(address, 8080) == "hello\n"
    daemon.docker("rm", "-f", "web")
    assert fetch("127.0.0.1", 8080) == fetch("::1", 8080) == ""
    serve(daemon, "again", "-p", "8080:80")


def test_rules_that_somebody_flushed_come_back(own_daemon: Daemon) -> None:
    daemon = own_daemon
    serve(daemon, "one", "-p", "127.0.0.1:8080:80")
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    # Without rules the relay serves.
    assert fetch("127.0.0.1", 8080) == "hello\n"
    serve(daemon, "two", "-p", "8081:80")
    table = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    assert "tcp . 127.0.0.1 . 8080 : " in table
    assert "tcp . 8081 : " in table


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("99999:80", "invalid hostPort: 99999"),
        ("80:80/icmp", "invalid proto: icmp"),
        ("1.2.3:80:80", "IP address is not correctly formatted"),
        ("8000-8002:80-81", "invalid ranges specified for container and host Ports"),
    ],
)
def test_wrong_bindings_are_refused(daemon: Daemon, binding: str, message: str) -> None:
    refused = daemon.transom("run", "--rm", "-p", binding, daemon.busybox, "true", check=False)
    assert (refused.returncode, message in refused.stderr) == (125, True), refused.stderr
