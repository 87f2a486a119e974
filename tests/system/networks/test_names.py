"""Names: containers on a network that users made know each other, and the rest is asked elsewhere."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest
from dnslib import QTYPE, RR, A
from dnslib.server import DNSRecord, DNSServer

from testbed.daemon import Daemon
from testbed.waiting import wait_for


@pytest.fixture
def app(daemon: Daemon) -> Iterator[str]:
    daemon.docker("network", "create", "app")
    yield "app"
    containers = daemon.docker("ps", "-aq").stdout.split()
    if containers:
        daemon.docker("rm", "-f", *containers)
    daemon.docker("network", "rm", *daemon.docker("network", "ls", "-q", "--filter", "type=custom").stdout.split())


def run(daemon: Daemon, name: str, *options: str) -> str:
    """Start a container and return its address on the network app."""
    daemon.docker("run", "-d", "--name", name, *options, daemon.busybox, "sleep", "1000")
    return address_of(daemon, name)


def address_of(daemon: Daemon, name: str) -> str:
    networks = json.loads(daemon.docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", name).stdout)
    return str(networks["app"]["IPAddress"]) if "app" in networks else ""


def look_up(daemon: Daemon, container: str, name: str, *options: str) -> list[str]:
    """Return the addresses, or names, that a container's resolver gives."""
    init = daemon.docker("inspect", "-f", "{{.State.Pid}}", container).stdout.strip()
    command = ["nsenter", "-t", init, "-n", "dig", "@127.0.0.11", "+short", "+time=5", "+tries=1", *options, name]
    return subprocess.run(command, capture_output=True, text=True).stdout.split()


def test_names_aliases_and_short_ids_are_found(daemon: Daemon, app: str) -> None:
    one = run(daemon, "one", "--network", app, "--network-alias", "db")
    run(daemon, "two", "--network", app)
    identity = daemon.docker("inspect", "-f", "{{.Id}}", "one").stdout[:12]
    for name in ("one", "ONE", "db", identity, "one.app"):
        assert look_up(daemon, "two", name) == [one]
    assert look_up(daemon, "two", "one", "+tcp") == [one]
    assert look_up(daemon, "two", "one", "AAAA") == []
    assert look_up(daemon, "two", one, "-x") == ["one.app."]
    assert daemon.docker("exec", "two", "ping", "-c1", "-W1", "db", check=False).returncode == 0
    resolver = daemon.docker("exec", "two", "cat", "/etc/resolv.conf").stdout
    assert re.search(r"^nameserver 127\.0\.0\.11\n", resolver)
    assert "ndots:0" in resolver


def test_an_alias_of_many_is_all_of_them(daemon: Daemon, app: str) -> None:
    addresses = {run(daemon, f"web{number}", "--network", app, "--network-alias", "web") for number in range(3)}
    assert set(look_up(daemon, "web0", "web")) == addresses
    daemon.docker("rm", "-f", "web1")
    assert len(look_up(daemon, "web0", "web")) == 2


def test_names_follow_connections_and_renames(daemon: Daemon, app: str) -> None:
    daemon.docker("network", "create", "other")
    run(daemon, "one", "--network", app)
    run(daemon, "two", "--network", "other")
    assert look_up(daemon, "one", "two") == []
    daemon.docker("network", "connect", "--alias", "deux", app, "two")
    assert look_up(daemon, "one", "two") == look_up(daemon, "one", "deux") == [address_of(daemon, "two")]
    daemon.docker("rename", "two", "zwei")
    assert look_up(daemon, "one", "two") == []
    assert look_up(daemon, "one", "zwei") == [address_of(daemon, "zwei")]
    daemon.docker("network", "disconnect", app, "zwei")
    assert look_up(daemon, "one", "zwei") == []


def test_a_link_is_a_name_that_one_container_knows(daemon: Daemon, app: str) -> None:
    one = run(daemon, "one", "--network", app)
    run(daemon, "two", "--network", app)
    daemon.docker("network", "disconnect", app, "two")
    daemon.docker("network", "connect", "--link", "one:db", app, "two")
    assert look_up(daemon, "two", "db") == [one]
    assert look_up(daemon, "one", "db") == []


def test_port_53_stays_free_for_the_container(daemon: Daemon, app: str) -> None:
    run(daemon, "one", "--network", app)
    daemon.docker("exec", "-d", "one", "nc", "-l", "-p", "53")
    assert look_up(daemon, "one", "one") == [address_of(daemon, "one")]


def test_the_default_bridge_has_no_names(daemon: Daemon, app: str) -> None:
    run(daemon, "plain")
    assert "127.0.0.11" not in daemon.docker("exec", "plain", "cat", "/etc/resolv.conf").stdout
    del app


class Upstream:
    """A name server on the machine that knows one name."""

    def resolve(self, request: DNSRecord, _handler: object) -> DNSRecord:
        reply = request.reply()
        if request.q.qtype == QTYPE.A and str(request.q.qname) == "known.example.":
            reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A("192.0.2.7"), ttl=5))
        return reply


@pytest.fixture
def upstream() -> Iterator[str]:
    servers = [DNSServer(Upstream(), address="127.0.0.2", port=53, tcp=tcp) for tcp in (False, True)]
    threads = [threading.Thread(target=server.server.serve_forever, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    yield "127.0.0.2"
    for server in servers:
        server.server.shutdown()
        server.server.server_close()


def test_other_names_are_asked_elsewhere_over_udp_and_tcp(daemon: Daemon, app: str, upstream: str) -> None:
    run(daemon, "one", "--network", app, "--dns", upstream)
    assert look_up(daemon, "one", "known.example") == ["192.0.2.7"]
    assert look_up(daemon, "one", "known.example", "+tcp") == ["192.0.2.7"]
    assert look_up(daemon, "one", "known.example", "+bufsize=4096", "+cookie") == ["192.0.2.7"]
    run(daemon, "slow", "--network", app, "--dns", "192.0.2.99", "--dns", upstream)
    assert look_up(daemon, "slow", "known.example") == ["192.0.2.7"]


def test_an_internal_network_asks_nobody(daemon: Daemon, app: str, upstream: str) -> None:
    daemon.docker("network", "create", "--internal", "inner")
    run(daemon, "one", "--network", "inner", "--dns", upstream)
    assert look_up(daemon, "one", "known.example") == []
    assert look_up(daemon, "one", "one") != []
    del app


def test_dns_settings_and_more_hosts(daemon: Daemon, app: str) -> None:
    options = ("--dns", "192.0.2.53", "--dns-search", "example.org", "--dns-option", "timeout:1")
    hosts = ("--add-host", "db:192.0.2.9", "--add-host", "gate:host-gateway")
    daemon.docker("run", "-d", "--name", "plain", *options, *hosts, daemon.busybox, "sleep", "1000")
    assert daemon.docker("exec", "plain", "cat", "/etc/resolv.conf").stdout == (
        "nameserver 192.0.2.53\nsearch example.org\noptions timeout:1\n"
    )
    shown = daemon.docker("exec", "plain", "cat", "/etc/hosts").stdout
    gateway = daemon.docker("inspect", "-f", "{{.NetworkSettings.Gateway}}", "plain").stdout.strip()
    assert "192.0.2.9\tdb\n" in shown
    assert f"{gateway}\tgate\n" in shown
    wrong = daemon.docker("run", "--rm", "--add-host", "db:nonsense", daemon.busybox, "true", check=False)
    assert "invalid IP address in add-host" in wrong.stderr
    del app


def test_a_relay_that_somebody_kills_is_made_again(own_daemon: Daemon) -> None:
    daemon = own_daemon
    daemon.docker("network", "create", "app")
    one = run(daemon, "one", "--network", "app", "-p", "8099:80")
    relay = subprocess.run(
        ["pgrep", "-f", str(daemon.exec_root / "relay")], capture_output=True, text=True, check=True
    ).stdout.split()
    subprocess.run(["kill", "-9", *relay], check=True)
    two = run(daemon, "two", "--network", "app")
    wait_for(lambda: look_up(daemon, "one", "two") == [two])
    assert look_up(daemon, "two", "one") == [one]
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", 8099)).close()


def test_names_are_answered_while_the_engine_is_down_and_after(own_daemon: Daemon) -> None:
    daemon = own_daemon
    daemon.docker("network", "create", "app")
    one = run(daemon, "one", "--network", "app")
    run(daemon, "two", "--network", "app")
    init = daemon.docker("inspect", "-f", "{{.State.Pid}}", "two").stdout.strip()
    daemon.kill()
    command = ["nsenter", "-t", init, "-n", "dig", "@127.0.0.11", "+short", "+time=5", "+tries=1", "one"]
    assert subprocess.run(command, capture_output=True, text=True).stdout.split() == [one]
    daemon.start()
    three = run(daemon, "three", "--network", "app")
    assert look_up(daemon, "two", "three") == [three]
    assert look_up(daemon, "three", "one") == [one]
