"""Networks that users make: containers reach each other on them and are apart otherwise."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from testbed.daemon import Daemon
from testbed.waiting import wait_for


@pytest.fixture
def app(daemon: Daemon) -> Iterator[str]:
    """A network, which is gone at the end with all containers."""
    daemon.docker("network", "create", "app")
    yield "app"
    clean(daemon)
    assert daemon.docker("network", "ls", "-q", "--filter", "type=custom").stdout == ""
    wait_for(lambda: links() == [])


def clean(daemon: Daemon) -> None:
    containers = daemon.docker("ps", "-aq").stdout.split()
    if containers:
        daemon.docker("rm", "-fv", *containers)
    networks = daemon.docker("network", "ls", "-q", "--filter", "type=custom").stdout.split()
    if networks:
        daemon.docker("network", "rm", *networks)


def links() -> list[str]:
    shown = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    names = [line.split(":")[1].strip().partition("@")[0] for line in shown.splitlines()]
    return [name for name in names if name.startswith(("br-", "veth"))]


def place(daemon: Daemon, container: str, network: str) -> dict[str, Any]:
    shown = daemon.docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", container).stdout
    found: dict[str, Any] = json.loads(shown)[network]
    return found


def run(daemon: Daemon, name: str, *options: str) -> None:
    daemon.docker("run", "-d", "--name", name, *options, daemon.busybox, "sleep", "1000")


def reaches(daemon: Daemon, container: str, address: str) -> bool:
    return daemon.docker("exec", container, "ping", "-c1", "-W1", address, check=False).returncode == 0


def test_containers_on_a_network_reach_each_other_and_the_gateway(daemon: Daemon, app: str) -> None:
    for name in ("one", "two"):
        run(daemon, name, "--network", app)
    one, two = (place(daemon, name, app) for name in ("one", "two"))
    assert one["IPAddress"] != two["IPAddress"]
    assert one["IPPrefixLen"] == 16
    assert one["Gateway"] == two["Gateway"]
    assert reaches(daemon, "one", two["IPAddress"])
    assert reaches(daemon, "one", two["Gateway"])
    shown = json.loads(daemon.docker("network", "inspect", app).stdout)[0]["Containers"]
    assert {item["Name"]: item["IPv4Address"] for item in shown.values()} == {
        "one": f"{one['IPAddress']}/16",
        "two": f"{two['IPAddress']}/16",
    }


def test_networks_are_apart_from_each_other(daemon: Daemon, app: str) -> None:
    daemon.docker("network", "create", "other")
    run(daemon, "one", "--network", app)
    run(daemon, "two", "--network", "other")
    address = place(daemon, "two", "other")["IPAddress"]
    assert not reaches(daemon, "one", address)
    daemon.docker("network", "connect", "other", "one")
    assert reaches(daemon, "one", address)
    daemon.docker("network", "disconnect", "other", "one")
    assert not reaches(daemon, "one", address)


def test_connect_and_disconnect_while_running(daemon: Daemon, app: str) -> None:
    daemon.docker("network", "create", "--subnet", "10.9.0.0/24", "other")
    run(daemon, "one", "--network", app)
    daemon.docker("network", "connect", "--ip", "10.9.0.77", "other", "one")
    shown = daemon.docker("exec", "one", "ip", "-o", "-4", "addr").stdout
    assert re.search(r"eth1 +inet 10\.9\.0\.77/24", shown)
    assert "10.9.0.77" in daemon.docker("exec", "one", "cat", "/etc/hosts").stdout
    twice = daemon.docker("network", "connect", "other", "one", check=False)
    assert "endpoint with name one already exists in network other" in twice.stderr
    daemon.docker("network", "disconnect", app, "one")
    assert "default via 10.9.0.1" in daemon.docker("exec", "one", "ip", "route").stdout
    assert "eth0" not in daemon.docker("exec", "one", "ip", "-o", "link").stdout
    daemon.docker("restart", "-t", "0", "one")
    assert place(daemon, "one", "other")["IPAddress"] == "10.9.0.77"
    not_there = daemon.docker("network", "disconnect", app, "one", check=False)
    assert "is not connected to network app" in not_there.stderr
    daemon.docker("network", "disconnect", "-f", app, "one")


def test_a_stopped_container_is_connected_from_its_next_start_on(daemon: Daemon, app: str) -> None:
    daemon.docker("create", "--name", "one", "--network", app, daemon.busybox, "sleep", "1000")
    daemon.docker("network", "create", "other")
    daemon.docker("network", "connect", "other", "one")
    daemon.docker("start", "one")
    for network in (app, "other"):
        assert place(daemon, "one", network)["IPAddress"]
    daemon.docker("stop", "-t", "0", "one")
    assert place(daemon, "one", app)["IPAddress"] == ""


def test_a_container_asks_for_addresses(daemon: Daemon, app: str) -> None:
    fixed = ("--subnet", "10.9.0.0/24", "--ip-range", "10.9.0.128/28", "--gateway", "10.9.0.254")
    daemon.docker("network", "create", *fixed, "--aux-address", "router=10.9.0.129", "fixed")
    run(daemon, "one", "--network", "fixed")
    assert place(daemon, "one", "fixed")["IPAddress"] == "10.9.0.128"
    run(daemon, "two", "--network", "fixed")
    assert place(daemon, "two", "fixed")["IPAddress"] == "10.9.0.130"
    run(daemon, "three", "--network", "fixed", "--ip", "10.9.0.9", "--mac-address", "92:d0:c6:0a:29:33")
    three = place(daemon, "three", "fixed")
    assert (three["IPAddress"], three["MacAddress"]) == ("10.9.0.9", "92:d0:c6:0a:29:33")
    assert "92:d0:c6:0a:29:33" in daemon.docker("exec", "three", "ip", "link").stdout
    taken = daemon.docker("run", "--network", "fixed", "--ip", "10.9.0.9", daemon.busybox, "true", check=False)
    assert "Address already in use" in taken.stderr
    outside = daemon.docker("run", "--network", "fixed", "--ip", "10.8.0.9", daemon.busybox, "true", check=False)
    assert "no configured subnet contains IP address 10.8.0.9" in outside.stderr
    del app


def test_an_interface_has_the_name_the_variables_and_more_addresses_that_were_asked_for(
    daemon: Daemon, app: str
) -> None:
    prefix = "com.docker.network.endpoint"
    options = (f"{prefix}.ifname=lan0", f"{prefix}.sysctls=net.ipv4.conf.IFNAME.log_martians=1")
    long = f"name={app},driver-opt={options[0]},link-local-ip=169.254.5.5"
    run(daemon, "one", "--network", long)
    assert re.search(r"lan0 +inet 169\.254\.5\.5/16", daemon.docker("exec", "one", "ip", "-o", "addr").stdout)
    assert place(daemon, "one", app)["IPAMConfig"] == {"LinkLocalIPs": ["169.254.5.5"]}
    daemon.transom(
        "run", "-d", "--name", "two", "--network", app, "--link-local-ip", "fe80::77", daemon.busybox, "sleep", "1000"
    )
    assert "fe80::77/64" in daemon.docker("exec", "two", "ip", "-o", "addr", "show", "eth0").stdout
    daemon.docker("network", "create", "other")
    daemon.docker("network", "connect", "--driver-opt", options[0], "--driver-opt", options[1], "other", "two")
    assert daemon.docker("exec", "two", "cat", "/proc/sys/net/ipv4/conf/lan0/log_martians").stdout == "1\n"
    assert set(place(daemon, "two", "other")["DriverOpts"]) == {f"{prefix}.ifname", f"{prefix}.sysctls"}
    before = links()
    taken = daemon.docker("network", "connect", "--driver-opt", options[0], "other", "one", check=False)
    assert f"cannot name the interface on the network other lan0: that on the network {app} has" in taken.stderr
    wrong = f"{prefix}.sysctls=net.ipv4.conf.IFNAME.nosuch=1"
    refused = daemon.docker("network", "connect", "--driver-opt", wrong, "other", "one", check=False)
    assert "cannot set /proc/sys/net/ipv4/conf/eth0/nosuch to '1': No such file" in refused.stderr
    wait_for(lambda: links() == before)
    daemon.docker("network", "connect", "other", "one")


def test_networks_are_made_of_a_configuration_and_found_by_the_beginning_of_their_id(daemon: Daemon, app: str) -> None:
    daemon.transom("network", "create", "--config-only", "--subnet", "10.9.0.0/24", "base")
    assert daemon.docker("network", "inspect", "-f", "{{.Driver}} {{.ConfigOnly}}", "base").stdout == "null true\n"
    identity = daemon.docker("network", "create", "--config-from", "base", "made").stdout.strip()
    shown = daemon.docker("network", "inspect", "-v", "-f", "{{.Name}} {{.ConfigFrom.Network}}", identity[:5]).stdout
    assert shown == "made base\n"
    run(daemon, "one", "--network", "made")
    assert place(daemon, "one", "made")["IPAddress"] == "10.9.0.2"
    refused = daemon.docker("run", "--rm", "--network", "base", daemon.busybox, "true", check=False)
    assert "cannot create endpoint on configuration-only network" in refused.stderr
    assert 'configuration network "base" is in use' in daemon.docker("network", "rm", "base", check=False).stderr
    daemon.docker("rm", "-f", "one")
    daemon.docker("network", "rm", "made", "base")
    del app


def test_ipv6(daemon: Daemon, app: str) -> None:
    daemon.docker("network", "create", "--ipv6", "--subnet", "fd00:9::/64", "six")
    run(daemon, "one", "--network", "six")
    run(daemon, "two", "--network", "six", "--ip6", "fd00:9::99")
    two = place(daemon, "two", "six")
    assert (two["GlobalIPv6Address"], two["GlobalIPv6PrefixLen"], two["IPv6Gateway"]) == ("fd00:9::99", 64, "fd00:9::1")
    assert two["IPAddress"]
    for address in ("fd00:9::99", "fd00:9::1"):
        ping = daemon.docker("exec", "one", "ping", "-6", "-c1", "-W1", address, check=False)
        assert ping.returncode == 0, ping.stdout
    del app


def test_containers_that_may_not_reach_each_other_do_not(daemon: Daemon, app: str) -> None:
    daemon.docker("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "quiet")
    for name in ("one", "two"):
        run(daemon, name, "--network", "quiet")
    two = place(daemon, "two", "quiet")
    assert not reaches(daemon, "one", two["IPAddress"])
    assert reaches(daemon, "one", two["Gateway"])
    del app


def test_a_network_in_use_or_predefined_is_not_removed(daemon: Daemon, app: str) -> None:
    run(daemon, "one", "--network", app)
    refused = daemon.docker("network", "rm", app, check=False)
    assert re.search(r'network app has active endpoints \(name:"one" id:"[0-9a-f]{12}"\)', refused.stderr)
    assert "is a pre-defined network" in daemon.docker("network", "rm", "host", check=False).stderr
    assert daemon.docker("network", "prune", "-f").stdout == ""
    daemon.docker("rm", "-f", "one")
    assert daemon.transom("network", "prune", "-f").stdout == "Deleted Networks:\napp\n\n"
    daemon.docker("network", "create", app)
    assert daemon.docker("network", "prune", "-f").stdout == "Deleted Networks:\napp\n\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--subnet", "10.9.0.0/16", "--subnet", "10.9.1.0/24", "x"), "overlap"),
        (("--subnet", "10.9.0.0/33", "x"), "invalid"),
        (("-d", "nonsense", "x"), "no network driver is named 'nonsense'"),
        (("-o", "nonsense=1", "x"), "has no option 'nonsense'"),
        (("-o", "com.docker.network.bridge.name=lo", "x"), "an interface of that name is there already"),
        (("bridge",), "operation is not permitted on predefined bridge network"),
        (("app",), "network with name app already exists"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(
    daemon: Daemon, app: str, arguments: tuple[str, ...], message: str
) -> None:
    before = links()
    refused = daemon.transom("network", "create", *arguments, check=False)
    assert refused.returncode == 1
    assert message in refused.stderr
    assert links() == before
    assert daemon.transom("network", "ls", "--filter", "type=custom", "--format", "{{.Name}}").stdout == f"{app}\n"


def test_a_full_subnet_refuses_the_next_container(daemon: Daemon, app: str) -> None:
    daemon.docker("network", "create", "--subnet", "10.9.0.0/29", "small")
    for number in range(5):
        run(daemon, f"c{number}", "--network", "small")
    before = links()
    full = daemon.docker("run", "--rm", "--network", "small", daemon.busybox, "true", check=False)
    assert "no available IPv4 addresses on this network's address pools: small" in full.stderr
    assert links() == before
    daemon.docker("rm", "-f", "c2")
    assert daemon.docker("run", "--rm", "--network", "small", daemon.busybox, "true").returncode == 0
    del app


def test_a_hundred_containers_at_once_get_addresses_of_their_own_and_know_each_other(daemon: Daemon, app: str) -> None:
    names = [f"many{number}" for number in range(100)]
    # Each looks for the first one, as soon as it runs.
    look = f"until nslookup {names[0]} 127.0.0.11 >/found; do sleep 0.1; done; exec sleep 1000"
    options = ("-d", "--network", app)
    with ThreadPoolExecutor(8) as pool:
        started = [
            pool.submit(daemon.docker, "run", *options, "--name", name, daemon.busybox, "sh", "-c", look)
            for name in names
        ]
    assert all(future.result().returncode == 0 for future in started)
    shown = json.loads(daemon.docker("network", "inspect", app).stdout)[0]["Containers"]
    addresses = {item["Name"]: item["IPv4Address"].partition("/")[0] for item in shown.values()}
    assert (sorted(addresses), len(set(addresses.values()))) == (sorted(names), 100)
    ask = f"for name in {' '.join(names)}; do nslookup $name 127.0.0.11; done"
    told = daemon.docker("exec", names[-1], "sh", "-c", ask).stdout
    assert re.findall(r"^Address: ([0-9.]+)$", told, re.MULTILINE) == [addresses[name] for name in names]
    inits = daemon.docker("inspect", "-f", "{{.State.Pid}}", *names).stdout.split()
    first = f"Address: {addresses[names[0]]}"
    wait_for(lambda: all(first in Path(f"/proc/{init}/root/found").read_text() for init in inits))


def test_host_none_and_shared_networks_take_no_more(daemon: Daemon, app: str) -> None:
    run(daemon, "host", "--network", "host")
    run(daemon, "none", "--network", "none")
    run(daemon, "owner", "--network", app)
    run(daemon, "guest", "--network", "container:owner")
    for name in ("host", "none", "guest"):
        refused = daemon.docker("network", "connect", app, name, check=False)
        assert re.search("cannot be connected to", refused.stderr), refused.stderr
    own, guests = (daemon.docker("exec", name, "ip", "-o", "addr").stdout for name in ("owner", "guest"))
    assert own == guests
    assert daemon.docker("exec", "guest", "cat", "/etc/hostname", "/etc/hosts").stdout == (
        daemon.docker("exec", "owner", "cat", "/etc/hostname", "/etc/hosts").stdout
    )
    daemon.docker("rm", "-f", "owner")
    gone = daemon.docker("run", "--rm", "--network", "container:owner", daemon.busybox, "true", check=False)
    assert "No such container: owner" in gone.stderr


def test_events_tell_the_life_of_a_network(daemon: Daemon, app: str) -> None:
    since = daemon.docker("info", "-f", "{{.SystemTime}}").stdout.strip()
    daemon.docker("network", "create", "told")
    daemon.docker("run", "--rm", "--network", "told", daemon.busybox, "true")
    daemon.docker("network", "rm", "told")
    until = daemon.docker("info", "-f", "{{.SystemTime}}").stdout.strip()
    form = "{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}}"
    told = daemon.docker(
        "events", "--since", since, "--until", until, "--filter", "type=network", "--format", form
    ).stdout
    assert told.splitlines() == [f"{action} told bridge" for action in ("create", "connect", "disconnect", "destroy")]
    del app
