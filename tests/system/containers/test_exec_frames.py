"""What a client of exec gets is what it said it expects, whatever the process has."""

from __future__ import annotations

import json

import docker
import pytest

from testbed.daemon import Daemon


@pytest.mark.parametrize(
    ("tty", "expects_tty", "shown"), [(True, True, b"hi\r\n"), (True, False, b"hi\r\n"), (False, False, b"hi\n")]
)
def test_output_comes_in_frames_unless_the_client_expects_a_terminal(
    daemon: Daemon, tty: bool, expects_tty: bool, shown: bytes
) -> None:
    client = docker.APIClient(daemon.host, version="1.43")
    container = daemon.docker("run", "-d", daemon.busybox, "sleep", "100").stdout.strip()
    instance = client.exec_create(container, ["echo", "hi"], tty=tty)["Id"]
    # The SDK takes frames apart where it was not told of a terminal.
    assert client.exec_start(instance, tty=expects_tty) == shown
    client.close()


def test_a_name_without_a_value_takes_a_variable_away(daemon: Daemon) -> None:
    flags = ("-e", "FROM_IMAGE", "-e", "HOSTNAME", "-e", "A=1")
    name = daemon.docker("create", *flags, daemon.busybox, "env").stdout.strip()
    shown = daemon.docker("inspect", "-f", "{{json .Config.Env}}", name).stdout
    # The stock client sends them in no order.
    assert set(json.loads(shown)) == {"FROM_IMAGE", "HOSTNAME", "A=1"}
    output = daemon.docker("start", "-a", name).stdout
    assert "A=1" in output
    assert "FROM_IMAGE" not in output
    assert "HOSTNAME" not in output
