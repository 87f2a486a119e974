"""Links on the default bridge: one container knows another by an alias, wherever that is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.daemon import Daemon
from testbed.registry import Registry
from testbed.waiting import wait_for

#: A server that listens on two ports.
SERVER = ("sh", "-c", "mkdir -p /www && httpd -p 8080 -h /www && exec httpd -f -p 80 -h /www")


@pytest.fixture(autouse=True)
def no_containers(daemon: Daemon) -> Iterator[None]:
    """Every test begins and ends without containers."""
    yield
    containers = daemon.docker("ps", "-aq").stdout.split()
    if containers:
        daemon.docker("rm", "-f", *containers)


def run(daemon: Daemon, name: str, *options: str) -> str:
    """Start a container and return its address."""
    daemon.docker("run", "-d", "--name", name, *options, daemon.busybox, "sleep", "1000")
    return address_of(daemon, name)


def address_of(daemon: Daemon, name: str) -> str:
    return daemon.docker("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", name).stdout.strip()


def hosts(daemon: Daemon, name: str) -> list[str]:
    return daemon.docker("exec", name, "cat", "/etc/hosts").stdout.splitlines()


def links(daemon: Daemon, name: str) -> list[str]:
    shown: list[str] = json.loads(daemon.docker("inspect", "-f", "{{json .HostConfig.Links}}", name).stdout)
    return shown


def test_a_linked_container_is_known_by_alias_host_name_and_name(daemon: Daemon) -> None:
    address = run(daemon, "db", "-e", "SECRET=x", "--expose", "5432")
    run(daemon, "web", "--link", "db:store", "--link", "db")
    identity = daemon.docker("inspect", "-f", "{{.Id}}", "db").stdout[:12]
    assert f"{address}\tstore {identity} db" in hosts(daemon, "web")
    assert f"{address}\tdb {identity}" in hosts(daemon, "web")
    assert daemon.docker("exec", "web", "ping", "-c1", "-W1", "store", check=False).returncode == 0
    variables = daemon.docker("exec", "web", "env").stdout.splitlines()
    init = daemon.docker("exec", "web", "cat", "/proc/1/environ").stdout.split("\0")
    for variable in (
        "STORE_NAME=/web/store",
        f"STORE_PORT=tcp://{address}:5432",
        "STORE_ENV_SECRET=x",
        f"DB_PORT_5432_TCP_ADDR={address}",
    ):
        assert variable in variables
        assert variable in init
    assert links(daemon, "web") == ["/db:/web/store", "/db:/web/db"]
    assert daemon.docker("ps", "--no-trunc", "--format", "{{.Names}}").stdout == "web\ndb,web/db,web/store\n"
    assert daemon.docker("ps", "--filter", "name=web/st", "--format", "{{.Names}}").stdout == "db\n"
    assert daemon.docker("inspect", "-f", "{{.Name}}", "web/store").stdout == "/db\n"


def test_a_link_follows_a_container_that_is_renamed_or_has_another_address(daemon: Daemon) -> None:
    before = run(daemon, "db")
    run(daemon, "web", "--link", "db:store")
    daemon.docker("rename", "db", "sql")
    assert links(daemon, "web") == ["/sql:/web/store"]
    daemon.docker("stop", "-t", "0", "sql")
    stopped = daemon.docker("exec", "web", "true", check=False)
    assert "Cannot link to a non running container: /sql AS /web/store" in stopped.stderr
    run(daemon, "other")
    daemon.docker("start", "sql")
    after = address_of(daemon, "sql")
    assert after != before
    assert [line.split()[0] for line in hosts(daemon, "web") if "store" in line] == [after]
    assert "STORE_NAME=/web/store\n" in daemon.docker("exec", "web", "env").stdout
    daemon.docker("network", "disconnect", "bridge", "sql")
    apart = daemon.docker("exec", "web", "true", check=False)
    assert "Cannot link to /sql, as it does not belong to the default network" in apart.stderr


def test_a_container_starts_after_those_that_it_is_linked_to(daemon: Daemon) -> None:
    run(daemon, "db")
    run(daemon, "web", "--link", "db")
    daemon.docker("stop", "-t", "0", "web", "db")
    refused = daemon.docker("start", "web", check=False)
    assert "Cannot link to a non running container: /db AS /web/db" in refused.stderr
    daemon.docker("start", "db", "web")
    daemon.docker("rm", "-f", "db")
    daemon.docker("stop", "-t", "0", "web")
    assert "Cannot link to a non running container: /db" in daemon.docker("start", "web", check=False).stderr
    daemon.docker("rm", "--link", "web/db")
    daemon.docker("start", "web")


def test_a_link_is_removed_alone(daemon: Daemon) -> None:
    run(daemon, "db")
    run(daemon, "web", "--link", "db:one", "--link", "db:two")
    assert daemon.docker("rm", "--link", "web/one").stdout == "web/one\n"
    assert links(daemon, "web") == ["/db:/web/two"]
    assert not [line for line in hosts(daemon, "web") if "one" in line.split()]
    own = daemon.docker("rm", "--link", "db", check=False)
    assert "cannot remove the default link name of the container" in own.stderr
    assert "No such container: web/one" in daemon.docker("rm", "--link", "web/one", check=False).stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--link", "nobody:x"), "could not get container for nobody: No such container: nobody"),
        (("--network", "host", "--link", "db"), "host type networking can't be used with links"),
        (("--network", "container:db", "--link", "db"), "container type network can't be used with links"),
        (("--link", "machine"), "host type networking can't be used with links"),
        (("--link", "apart"), "Cannot link to /apart, as it does not belong to the default network"),
        (("--link", "stopped"), "Cannot link to a non running container: /stopped AS "),
    ],
)
def test_what_cannot_be_linked_is_refused(daemon: Daemon, options: tuple[str, ...], message: str) -> None:
    run(daemon, "db")
    needed = options[-1]
    if needed in ("machine", "apart"):
        daemon.docker(
            "run",
            "-d",
            "--name",
            needed,
            "--network",
            {"machine": "host", "apart": "none"}[needed],
            daemon.busybox,
            "sleep",
            "1000",
        )
    if needed == "stopped":
        daemon.docker("create", "--name", needed, daemon.busybox, "true")
    before = daemon.docker("ps", "-aq").stdout
    refused = daemon.docker("run", "--rm", *options, daemon.busybox, "true", check=False)
    assert (refused.returncode, message in refused.stderr) == (125, True), refused.stderr
    assert daemon.docker("ps", "-aq").stdout == before


def test_a_link_to_one_that_shares_a_network_is_to_its_owner(daemon: Daemon) -> None:
    run(daemon, "db")
    daemon.docker("run", "-d", "--name", "guest", "--network", "container:db", daemon.busybox, "sleep", "1000")
    run(daemon, "web", "--link", "guest:store")
    assert links(daemon, "web") == ["/db:/web/store"]
    assert daemon.docker("run", "--rm", "--network", "none", "--link", "db", daemon.busybox, "true").returncode == 0


def test_containers_that_are_kept_apart_reach_those_that_they_are_linked_to(tmp_path: Path, registry: Registry) -> None:
    def reaches(container: str, address: str, port: int) -> bool:
        ask = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 {address} {port} | grep -q HTTP"
        return daemon.docker("exec", container, "sh", "-c", ask, check=False).returncode == 0

    with Daemon(tmp_path, configuration="icc = false\n") as daemon:
        daemon.transom("pull", "-q", registry.busybox)
        daemon.busybox = registry.busybox
        daemon.docker("run", "-d", "--name", "db", "--expose", "80", daemon.busybox, *SERVER)
        run(daemon, "web", "--link", "db")
        run(daemon, "other")
        wait_for(lambda: reaches("db", "127.0.0.1", 80))
        assert reaches("web", "db", 80)
        assert not reaches("web", "db", 8080)
        assert not reaches("other", address_of(daemon, "db"), 80)
        daemon.kill()
        daemon.start()
        assert reaches("web", "db", 80)
        daemon.docker("restart", "-t", "0", "db")
        wait_for(lambda: reaches("db", "127.0.0.1", 80))
        assert reaches("web", "db", 80)
        daemon.docker("rm", "--link", "web/db")
        assert not reaches("web", address_of(daemon, "db"), 80)


def test_a_project_of_compose_on_the_default_bridge_has_links(daemon: Daemon, tmp_path: Path) -> None:
    service = f"{{image: '{daemon.busybox}', command: sleep 1000, network_mode: bridge"
    (tmp_path / "docker-compose.yml").write_text(
        f"version: '2.4'\nservices:\n  db: {service}}}\n  web: {service}, links: ['db:store']}}\n"
    )
    environment = {**daemon.environment(), "COMPOSE_API_VERSION": "1.44"}
    done = subprocess.run(
        ["docker-compose", "--ansi", "never", "-p", "linked", "up", "-d"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert daemon.docker("exec", "linked_web_1", "ping", "-c1", "-W1", "store", check=False).returncode == 0
    assert "/linked_db_1:/linked_web_1/store" in links(daemon, "linked_web_1")
