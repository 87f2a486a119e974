"""Real registries: one that is open, one with passwords, one with tokens, and one with TLS that is not on loopback."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.certificates import Authority, Signed
from testbed.daemon import Daemon
from testbed.registry import Registry
from testbed.tokens import USERS, Tokens, serve_tokens

#: An address of the private test host that is not loopback's.
OUTSIDE = "192.0.2.1"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that the machine does not know."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def server_certificate(authority: Authority) -> Signed:
    """The certificate of a server at an address that is not loopback's."""
    return authority.sign("server", OUTSIDE, "127.0.0.1")


@pytest.fixture(scope="session")
def outside() -> Iterator[str]:
    """An address that is not loopback's."""
    subprocess.run(["ip", "address", "add", f"{OUTSIDE}/32", "dev", "lo"], check=True)
    yield OUTSIDE
    subprocess.run(["ip", "address", "delete", f"{OUTSIDE}/32", "dev", "lo"], check=True)


@pytest.fixture(scope="session")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that wants passwords."""
    with Registry(tmp_path_factory.mktemp("locked"), users=USERS) as registry:
        yield registry


@pytest.fixture
def tokens(authority: Authority) -> Iterator[Tokens]:
    """A token server."""
    with serve_tokens(authority.sign("tokens"), USERS) as tokens:
        yield tokens


@pytest.fixture
def guarded(tmp_path_factory: pytest.TempPathFactory, tokens: Tokens) -> Iterator[Registry]:
    """A registry that wants tokens of the token server."""
    with Registry(tmp_path_factory.mktemp("guarded"), tokens=tokens) as registry:
        yield registry


@pytest.fixture
def settings(daemon: Daemon) -> Iterator[Path]:
    """The configuration file of the daemon's clients, which is not there at first."""
    path = Path(daemon.environment()["DOCKER_CONFIG"]) / "config.json"
    shutil.rmtree(path.parent, ignore_errors=True)
    yield path
    shutil.rmtree(path.parent, ignore_errors=True)


@pytest.fixture
def named(daemon: Daemon) -> Callable[..., str]:
    """Give busybox a name at a registry, and return it."""

    def give(registry: Registry, name: str = "app:latest") -> str:
        target = f"{registry.address}/{name}"
        daemon.transom("tag", daemon.busybox, target)
        return target

    return give


@pytest.fixture
def raw() -> Callable[..., bytes]:
    """Ask skopeo for the manifest of an image, as the registry has it."""

    def ask(reference: str, *flags: str) -> bytes:
        command = ["skopeo", "inspect", "--raw", "--tls-verify=false", *flags, f"docker://{reference}"]
        return subprocess.run(command, capture_output=True, check=True).stdout

    return ask
