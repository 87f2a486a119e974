"""Many clients at once: nothing is lost, nothing is left half-way."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

from testbed.daemon import GRAPHDRIVER, Daemon


def test_short_containers_at_once_lose_no_output(daemon: Daemon) -> None:
    def run(number: int) -> tuple[str, int]:
        command = ("sh", "-c", f"echo {number}; exit {number % 7}")
        done = daemon.docker("run", "--rm", "-v", "/anonymous", daemon.busybox, *command, check=False)
        return done.stdout, done.returncode

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(run, range(60)))
    assert found == [(f"{number}\n", number % 7) for number in range(60)]
    assert daemon.docker("ps", "-aq").stdout == ""
    assert daemon.docker("volume", "ls", "-q").stdout == ""


def test_execs_at_once_lose_no_output(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "many-execs", daemon.busybox, "sleep", "1000")

    def execute(number: int) -> tuple[str, int]:
        done = daemon.docker("exec", "many-execs", "sh", "-c", f"echo {number}; exit {number % 5}", check=False)
        return done.stdout, done.returncode

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(execute, range(60)))
    daemon.docker("rm", "-f", "many-execs")
    assert found == [(f"{number}\n", number % 5) for number in range(60)]


def test_a_forced_removal_wins_against_whatever_else_is_asked(daemon: Daemon) -> None:
    def race(number: int) -> None:
        name = f"race-{number}"
        daemon.docker("create", "--name", name, daemon.busybox, "sleep", "1000")
        orders = (("start", name), ("stop", "-t", "0", name), ("rm", "-f", name), ("start", name), ("kill", name))
        clients = [
            subprocess.Popen(
                ["docker", "-H", daemon.host, *order], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for order in orders
        ]
        for client in clients:
            client.wait(60)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(race, range(16)))
    assert daemon.docker("ps", "-aq").stdout == ""
    assert [path for path in (daemon.exec_root / "mounts" / GRAPHDRIVER).iterdir() if len(path.name) == 64] == []
