"""System tests run as root on a private test host, which must be as empty at the end as it was at the start."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.daemon import Daemon
from testbed.host import become_private, end_dead_runs, left_behind
from testbed.registry import Registry


def pytest_configure() -> None:
    if os.geteuid() != 0:
        pytest.exit("the system tests need root; `make unit` needs none", returncode=1)
    end_dead_runs()
    become_private()
    # A run in the background of a shell ignores it, and so would the clients that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The suite's last word: no process, mount, link, cgroup or loop device of it is left."""
    yield
    # On a busy machine a process may end a moment after the daemon that it belonged to.
    end = time.monotonic() + 10
    while (left := left_behind(tmp_path_factory.getbasetemp())) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == []


@pytest.fixture(scope="session")
def private_network() -> None:
    """The private test host has a network of its own: the suites of drivers need no other one."""


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A real registry on loopback with a busybox image that umoci made and skopeo brought."""
    with Registry(tmp_path_factory.mktemp("registry")) as registry:
        registry.push_busybox()
        yield registry


@pytest.fixture(scope="session")
def new_client() -> None:
    """A stock client that has the words that ours has: Debian's own may be years older."""
    found = subprocess.run(["docker", "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"version (\d+)", found)
    if version is None or int(version[1]) < 28:
        pytest.skip(f"{found.strip()} writes some things in other ways than clients do since 28.0")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Iterator[Daemon]:
    """A daemon with busybox pulled, shared by a module's tests."""
    with Daemon(tmp_path_factory.mktemp("daemon")) as daemon:
        daemon.transom("pull", "-q", registry.busybox)
        daemon.busybox = registry.busybox
        yield daemon


@pytest.fixture
def own_daemon(tmp_path: Path, registry: Registry) -> Iterator[Daemon]:
    """A daemon with busybox pulled, which a test may kill."""
    with Daemon(tmp_path) as daemon:
        daemon.transom("pull", "-q", registry.busybox)
        daemon.busybox = registry.busybox
        yield daemon
