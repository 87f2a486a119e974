"""What an engine leaves of networks when it is killed, the next one goes on with or takes away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

from testbed.daemon import Daemon
from testbed.waiting import wait_for


def links() -> list[str]:
    shown = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return [line.split(":")[1].strip().partition("@")[0] for line in shown.splitlines()]


def own_links() -> list[str]:
    return [name for name in links() if name.startswith("veth")]


def addresses(daemon: Daemon, network: str) -> set[str]:
    shown = json.loads(daemon.docker("network", "inspect", network).stdout)[0]["Containers"]
    return {item["IPv4Address"] for item in shown.values()}


def test_connected_containers_run_on_and_keep_their_addresses(own_daemon: Daemon) -> None:
    daemon = own_daemon
    daemon.docker("network", "create", "app")
    for name in ("one", "two"):
        daemon.docker("run", "-d", "--name", name, "--network", "app", daemon.busybox, "sleep", "1000")
    before = addresses(daemon, "app")
    daemon.kill()
    daemon.start()
    assert addresses(daemon, "app") == before
    (target,) = (address.partition("/")[0] for address in sorted(before)[1:])
    assert daemon.docker("exec", "one", "ping", "-c1", "-W1", target, check=False).returncode == 0
    refused = daemon.docker("network", "rm", "app", check=False)
    assert "active endpoints" in refused.stderr
    daemon.docker("network", "disconnect", "app", "one")
    daemon.docker("rm", "-f", "one", "two")
    wait_for(lambda: own_links() == [])
    daemon.docker("network", "rm", "app")


def test_what_ended_while_no_engine_ran_gives_its_address_back(own_daemon: Daemon) -> None:
    daemon = own_daemon
    daemon.docker("network", "create", "--subnet", "10.9.0.0/30", "tiny")
    daemon.docker("run", "-d", "--name", "one", "--network", "tiny", daemon.busybox, "sleep", "1000")
    init = int(daemon.docker("inspect", "-f", "{{.State.Pid}}", "one").stdout)
    daemon.kill()
    os.kill(init, signal.SIGKILL)
    daemon.start()
    wait_for(lambda: daemon.docker("inspect", "-f", "{{.State.Running}}", "one").stdout == "false\n")
    assert daemon.docker("run", "--rm", "--network", "tiny", daemon.busybox, "true").returncode == 0
    wait_for(lambda: own_links() == [])
    assert list((daemon.exec_root / "netns").iterdir()) == []


def test_a_kill_at_any_moment_of_connecting_leaves_nothing(own_daemon: Daemon) -> None:
    daemon = own_daemon
    daemon.docker("network", "create", "app")
    daemon.docker("network", "create", "--subnet", "10.9.0.0/30", "tiny")
    daemon.docker("run", "-d", "--name", "one", "--network", "app", daemon.busybox, "sleep", "1000")
    for delay in (0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.06):
        command = f"docker -H {daemon.host} network"
        client = subprocess.Popen(
            ["sh", "-c", f"{command} connect tiny one && {command} disconnect tiny one"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(delay)
        daemon.kill()
        client.wait(30)
        daemon.start()
        daemon.docker("network", "disconnect", "-f", "tiny", "one")
        assert daemon.docker("exec", "one", "ls", "/sys/class/net").stdout.split() == ["eth0", "lo"]
        # The only address is free again.
        assert daemon.docker("run", "--rm", "--network", "tiny", daemon.busybox, "true").returncode == 0
    wait_for(lambda: len(own_links()) == 1)


def test_a_stopped_engine_without_containers_leaves_no_interface_and_its_networks_come_back(own_daemon: Daemon) -> None:
    daemon = own_daemon
    identity = daemon.docker("network", "create", "app").stdout.strip()
    bridge = f"br-{identity[:12]}"
    assert bridge in links()
    daemon.stop()
    assert bridge not in links()
    daemon.start()
    wait_for(lambda: bridge in links())
    daemon.docker("network", "rm", "app")
    assert bridge not in links()
