"""What the commands about running containers ask for, and what they show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Transom = Callable[..., int]
Capture = pytest.CaptureFixture[str]


def test_each_paused_container_is_named(daemon: Any, transom: Transom, capfd: Capture) -> None:
    daemon.on("POST", "/containers/one/pause", lambda request: request.answer(status=204))
    assert transom("pause", "one", "two") == 1
    assert capfd.readouterr() == ("one\n", "Error response from daemon: No such thing: /containers/two/pause\n")


def test_a_failed_rename_is_said_with_the_name(daemon: Any, transom: Transom, capfd: Capture) -> None:
    daemon.on("POST", "/containers/one/rename", lambda request: request.answer({"message": "taken"}, 409))
    assert transom("rename", "one", "two") == 1
    assert daemon.requests[0].target.endswith("/containers/one/rename?name=two")
    wanted = "Error response from daemon: taken\nError: failed to rename container named one\n"
    assert capfd.readouterr().err == wanted
    assert transom("rename", "one", " ") == 1
    assert capfd.readouterr().err == "Error: Neither old nor new names may be empty\n"


def test_only_what_was_given_is_updated(daemon: Any, transom: Transom, capfd: Capture) -> None:
    daemon.on("POST", "/containers/one/update", {"Warnings": ["no swap"]})
    assert transom("update", "--restart", "always", "--cpus", "1.5", "--memory-swap", "-1", "one") == 0
    assert daemon.requests[0].json == {
        "NanoCpus": 1_500_000_000,
        "MemorySwap": -1,
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
    }
    assert capfd.readouterr().out == "one\nno swap"
    assert transom("update", "one") == 1
    assert capfd.readouterr().err == "you must provide one or more flags when using this command\n"


@pytest.mark.parametrize(
    ("flag", "value"), [("--cpus", "x"), ("--cpus", "1.0000000001"), ("--blkio-weight", "70000"), ("--memory", "1z")]
)
def test_a_limit_that_cannot_be_read_is_refused(transom: Transom, capfd: Capture, flag: str, value: str) -> None:
    assert transom("update", flag, value, "one") == 125
    assert f'invalid argument "{value}"' in capfd.readouterr().err


def test_options_of_ps_are_handed_on(daemon: Any, transom: Transom, capfd: Capture) -> None:
    daemon.on("GET", "/containers/one/top", {"Titles": ["PID", "CMD"], "Processes": [["7", "sleep 5"]]})
    assert transom("top", "one", "-o", "pid,cmd") == 0
    assert "ps_args=-o" in daemon.requests[0].target
    assert capfd.readouterr().out == f"{'PID':20}CMD\n{'7':20}sleep 5\n"


def test_published_ports_are_shown_in_their_order(daemon: Any, transom: Transom, capfd: Capture) -> None:
    ports = {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "10080"}, {"HostIp": "::", "HostPort": "10080"}],
        "9/udp": [{"HostIp": "127.0.0.1", "HostPort": "9"}],
        "81/tcp": None,
    }
    daemon.on("GET", "/containers/one/json", {"NetworkSettings": {"Ports": ports}})
    assert transom("port", "one") == 0
    assert capfd.readouterr().out == "9/udp -> 127.0.0.1:9\n80/tcp -> 0.0.0.0:10080\n80/tcp -> [::]:10080\n"
    assert transom("port", "one", "80") == 0
    assert capfd.readouterr().out == "0.0.0.0:10080\n[::]:10080\n"
    assert transom("port", "one", "81/tcp") == 1
    assert capfd.readouterr().err == "Error: No public port '81/tcp' published for one\n"
    assert transom("port", "one", "x") == 1
    assert capfd.readouterr().err == 'Error: invalid port (x): strconv.ParseUint: parsing "x": invalid syntax\n'
