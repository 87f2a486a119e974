"""Networks of the machine's CNI plugins: a configuration's name is all that it takes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from testbed.daemon import Daemon
from testbed.waiting import wait_for

HELLO = ("sh", "-c", "mkdir -p /www && echo hello >/www/index.html && exec httpd -f -p 80 -h /www")


def write(directory: Path, name: str, *plugins: dict[str, Any]) -> None:
    content = {"cniVersion": "1.0.0", "name": name, "plugins": plugins}
    (directory / f"{name}.conflist").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Configurations of a bridge with published ports, and of wires from point to point."""
    directory = tmp_path_factory.mktemp("cni")
    ipam = {"type": "host-local", "dataDir": str(directory / "ipam"), "routes": [{"dst": "0.0.0.0/0"}]}
    write(
        directory,
        "lan",
        {
            "type": "bridge",
            "bridge": "cni-lan",
            "isGateway": True,
            "ipMasq": True,
            "ipam": {**ipam, "ranges": [[{"subnet": "10.88.0.0/24"}]]},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    )
    write(directory, "wire", {"type": "ptp", "ipam": {**ipam, "ranges": [[{"subnet": "10.89.0.0/24"}]]}})
    (directory / "broken.conflist").write_text("{")
    write(directory, "absent", {"type": "nosuch"})
    yield directory
    subprocess.run(["ip", "link", "del", "cni-lan"], check=False, capture_output=True)


@pytest.fixture(autouse=True)
def nothing_given_away(daemon: Daemon, directory: Path) -> Iterator[None]:
    """Every test begins and ends without containers, networks, addresses and rules."""
    yield
    containers = daemon.docker("ps", "-aq").stdout.split()
    if containers:
        daemon.docker("rm", "-f", *containers)
    networks = daemon.docker("network", "ls", "-q", "--filter", "type=custom").stdout.split()
    if networks:
        daemon.docker("network", "rm", *networks)
    assert given(directory) == []
    rules = subprocess.run(["iptables-save", "-t", "nat"], capture_output=True, text=True, check=True).stdout
    assert [line for line in rules.splitlines() if "10.88." in line] == []


def given(directory: Path) -> list[str]:
    """Return the addresses that the IPAM plugin counts as given."""
    return sorted(path.name for path in directory.glob("ipam/*/10.*"))


def create(daemon: Daemon, directory: Path, name: str, *options: str) -> None:
    daemon.docker(
        "network", "create", "-d", "cni", "-o", f"config={name}", "-o", f"config-dir={directory}", *options, name
    )


def place(daemon: Daemon, container: str, network: str) -> dict[str, Any]:
    shown = daemon.docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", container).stdout
    found: dict[str, Any] = json.loads(shown)[network]
    return found


def test_containers_on_a_bridge_reach_each_other_by_name_and_have_published_ports(
    daemon: Daemon, directory: Path
) -> None:
    create(daemon, directory, "lan")
    daemon.docker("run", "-d", "--name", "web", "--network", "lan", "-p", "8077:80", daemon.busybox, *HELLO)
    daemon.docker("run", "-d", "--name", "box", "--network", "lan", daemon.busybox, "sleep", "1000")
    web = place(daemon, "web", "lan")
    assert (web["IPAddress"] in given(directory), web["IPPrefixLen"], web["Gateway"]) == (True, 24, "10.88.0.1")
    assert web["MacAddress"] in daemon.docker("exec", "web", "ip", "link", "show", "eth0").stdout
    assert "default via 10.88.0.1 dev eth0" in daemon.docker("exec", "box", "ip", "route").stdout
    wait_for(lambda: daemon.docker("exec", "box", "wget", "-qO-", "http://web/", check=False).stdout == "hello\n")
    shown = daemon.docker("network", "inspect", "-f", "{{.Driver}} {{len .Containers}}", "lan").stdout
    assert shown == "cni 2\n"
    machine = subprocess.run(["ip", "-o", "addr", "show", "dev", "cni-lan"], capture_output=True, text=True).stdout
    assert "10.88.0.1/24" in machine
    for address in ("127.0.0.1", "10.88.0.1"):
        with urlopen(f"http://{address}:8077/", timeout=5) as answer:
            assert answer.read() == b"hello\n"
    assert daemon.docker("port", "web").stdout.splitlines()[0] == "80/tcp -> 0.0.0.0:8077"


def test_a_container_is_connected_and_disconnected_while_it_runs(daemon: Daemon, directory: Path) -> None:
    create(daemon, directory, "wire")
    daemon.docker("run", "-d", "--name", "box", daemon.busybox, "sleep", "1000")
    daemon.docker("network", "connect", "wire", "box")
    address = place(daemon, "box", "wire")["IPAddress"]
    assert given(directory) == [address]
    assert f"inet {address}/" in daemon.docker("exec", "box", "ip", "addr", "show", "eth1").stdout
    daemon.docker("network", "disconnect", "wire", "box")
    assert given(directory) == []
    assert "eth1" not in daemon.docker("exec", "box", "ip", "link").stdout


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nobody", (), "is named nobody: it has absent, lan, wire; "),
        ("broken", (), "broken.conflist is no JSON"),
        ("absent", (), "the CNI plugin nosuch is in none of"),
        ("wire", ("-o", "nonsense=1"), "the network driver cni has no option 'nonsense'"),
        ("wire", ("-o", "plugin-dir=lib"), "'lib' is no absolute path"),
        ("wire", ("--internal",), "give neither --internal nor --ipv6"),
        ("wire", ("--subnet", "10.1.0.0/16"), "gives addresses itself: give no --subnet"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(
    daemon: Daemon, directory: Path, name: str, options: tuple[str, ...], message: str
) -> None:
    common = ("-d", "cni", "-o", f"config-dir={directory}", "-o", f"config={name}")
    refused = daemon.docker("network", "create", *common, *options, "bad", check=False)
    assert (refused.returncode, message in refused.stderr) == (1, True), refused.stderr
    assert daemon.docker("network", "ls", "-q", "--filter", "type=custom").stdout == ""


def test_a_plugin_that_fails_is_quoted_and_what_was_added_is_deleted(
    daemon: Daemon, directory: Path, tmp_path: Path
) -> None:
    ipam = {"type": "host-local", "dataDir": str(directory / "ipam"), "ranges": [[{"subnet": "10.90.0.0/24"}]]}
    failing = tmp_path / "failing"
    failing.write_text(
        "#!/bin/sh\n"
        "cat >/dev/null\n"
        "case $CNI_COMMAND in\n"
        """VERSION) echo '{"supportedVersions": ["1.0.0"]}' ;;\n"""
        f"""ADD) [ -e {tmp_path}/die ] && kill -9 $$; echo '{{"code": 100, "msg": "the cable is cut"}}'; exit 1 ;;\n"""
        "esac\n"
    )
    failing.chmod(0o755)
    write(tmp_path, "cut", {"type": "ptp", "ipam": ipam}, {"type": "failing"})
    create(daemon, tmp_path, "cut", "-o", f"plugin-dir=/usr/lib/cni:{tmp_path}")
    refused = daemon.docker("run", "--rm", "--network", "cut", daemon.busybox, "true", check=False)
    assert "the CNI plugin failing failed at ADD for the network cut: the cable is cut" in refused.stderr
    assert given(directory) == []
    (tmp_path / "die").touch()
    refused = daemon.docker("run", "--rm", "--network", "cut", daemon.busybox, "true", check=False)
    assert "the CNI plugin failing failed at ADD for the network cut: it was ended by signal 9" in refused.stderr
    ports = daemon.docker("run", "--rm", "--network", "cut", "-p", "80", daemon.busybox, "true", check=False)
    assert "has no plugin with the capability portMappings" in ports.stderr


def test_what_a_killed_engine_was_adding_is_deleted(daemon: Daemon, directory: Path, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.write_text(
        "#!/bin/sh\n"
        f"cat >/dev/null; cd {tmp_path}\n"
        "case $CNI_COMMAND in\n"
        """VERSION) echo '{"supportedVersions": ["1.0.0"]}' ;;\n"""
        """ADD) touch adding; while [ ! -e go ]; do sleep 0.05; done; echo '{}' ;;\n"""
        """DEL) echo "$CNI_CONTAINERID" >>deleted ;;\n"""
        "esac\n"
    )
    slow.chmod(0o755)
    ipam = {"type": "host-local", "dataDir": str(directory / "ipam"), "ranges": [[{"subnet": "10.91.0.0/24"}]]}
    write(tmp_path, "slow", {"type": "ptp", "ipam": ipam}, {"type": "slow"})
    create(daemon, tmp_path, "slow", "-o", f"plugin-dir=/usr/lib/cni:{tmp_path}")
    identity = daemon.docker("create", "--network", "slow", daemon.busybox, "sleep", "1000").stdout.strip()
    client = subprocess.Popen(["docker", "-H", daemon.host, "start", identity], stderr=subprocess.DEVNULL)
    wait_for((tmp_path / "adding").exists)
    daemon.kill()
    client.wait(30)
    assert len(given(directory)) == 1
    # The plugin runs on by itself; what it does then is undone after it.
    (tmp_path / "go").touch()
    daemon.start()
    wait_for(lambda: given(directory) == [])
    assert identity in (tmp_path / "deleted").read_text()
    wait_for(lambda: list(daemon.data_root.glob("*/cni/attachments/*")) == [])


def test_attachments_outlive_the_engine_and_end_with_their_container(daemon: Daemon, directory: Path) -> None:
    create(daemon, directory, "wire")
    daemon.docker("run", "-d", "--name", "box", "--network", "wire", daemon.busybox, "sleep", "1000")
    daemon.docker("run", "-d", "--name", "gone", "--network", "wire", daemon.busybox, "sleep", "1000")
    address = place(daemon, "box", "wire")["IPAddress"]
    init = int(daemon.docker("inspect", "-f", "{{.State.Pid}}", "gone").stdout)
    daemon.kill()
    os.kill(init, signal.SIGKILL)
    daemon.start()
    wait_for(lambda: given(directory) == [address])
    assert place(daemon, "box", "wire")["IPAddress"] == address
    daemon.docker("rm", "-f", "box")
    assert given(directory) == []
