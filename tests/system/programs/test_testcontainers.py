"""A database for a test, as testcontainers starts one: Debian's Redis, in an image that is made here."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.daemon import Daemon
from testbed.registry import Registry, free_port


def _put_redis(root: Path) -> None:
    """Put Debian's redis-server into a tree, with the libraries that it is linked with."""
    libraries = subprocess.run(["ldd", "/usr/bin/redis-server"], capture_output=True, text=True, check=True).stdout
    for name in ["/usr/bin/redis-server", *re.findall(r"(/\S+) \(0x", libraries)]:
        target = root / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, target)


@pytest.fixture(scope="module")
def image(registry: Registry) -> str:
    """The reference of an image with a Redis server."""
    return registry.push_tree("redis", _put_redis)


@pytest.fixture
def redis(daemon: Daemon, image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Redis server on the network of the test, not started yet."""
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    # Its reaper is an image of somebody else's.
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.community.redis import RedisContainer
    from testcontainers.core.config import testcontainers_config

    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)

    class OnTheHost(RedisContainer):
        """A server whose port is the machine's own."""

        def _configure(self) -> None:
            self.ports = {}

        def get_container_host_ip(self) -> str:
            return "127.0.0.1"

        def get_exposed_port(self, port: int) -> int:
            return port

    port = free_port()
    server = OnTheHost(image, port=port).with_command(f"redis-server --port {port} --save ''")
    yield server.with_kwargs(network_mode="host")


def test_a_client_stores_and_finds_values_in_a_container_that_goes_with_the_test(daemon: Daemon, redis: Any) -> None:
    with redis:
        client = redis.get_client(decode_responses=True)
        assert client.set("greeting", "hello")
        assert client.rpush("list", "a", "b", "c") == 3
        assert (client.get("greeting"), client.lrange("list", 0, -1)) == ("hello", ["a", "b", "c"])
        assert client.info("server")["process_id"] == 1
        assert redis.exec(["redis-server", "--version"]).output.startswith(b"Redis server v=")
        assert b"Ready to accept connections" in redis.get_logs()[0]
        client.close()
        name = redis.get_wrapped_container().name
    assert name not in daemon.docker("ps", "-a", "--format", "{{.Names}}").stdout.split()
