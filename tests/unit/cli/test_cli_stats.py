"""`stats` on what a daemon says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Transom = Callable[..., int]
Capture = pytest.CaptureFixture[str]

ID = "c" * 64
USED = {
    "name": "/web",
    "id": ID,
    "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 4},
    "precpu_stats": {"cpu_usage": {"total_usage": 200}, "system_cpu_usage": 1000},
    "memory_stats": {"usage": 3 << 20, "limit": 8 << 20, "stats": {"total_inactive_file": 1 << 20}},
    "pids_stats": {"current": 3},
    "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 1234567}, {"op": "write", "value": 10}]},
    "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 5}, "eth1": {"rx_bytes": 1, "tx_bytes": 0}},
}


def test_the_numbers_are_computed_as_docker_computes_them(daemon: Any, transom: Transom, capfd: Capture) -> None:
    daemon.on("GET", "/containers/web/stats", USED)
    assert transom("stats", "--no-stream", "--format", "json", "web") == 0
    assert json.loads(capfd.readouterr().out) == {
        "BlockIO": "1.23MB / 10B",
        "CPUPerc": "40.00%",
        "Container": "web",
        "ID": "c" * 12,
        "MemPerc": "25.00%",
        "MemUsage": "2MiB / 8MiB",
        "Name": "web",
        "NetIO": "1kB / 5B",
        "PIDs": "3",
    }
    assert daemon.requests[0].target.endswith("/stats?stream=false")


def test_without_names_all_that_run_are_shown(daemon: Any, transom: Transom, capfd: Capture) -> None:
    daemon.on("GET", "/containers/json", [{"Id": ID}])
    daemon.on("GET", f"/containers/{ID[:12]}/stats", USED)
    assert transom("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}} {{.Container}}") == 0
    assert capfd.readouterr().out == f"{ID} {ID[:12]}\n"


def test_what_is_not_there_is_said_for_each(daemon: Any, transom: Transom, capfd: Capture) -> None:
    daemon.on("GET", "/containers/web/stats", USED)
    assert transom("stats", "--no-stream", "web", "one", "two") == 1
    failures = [f"Error response from daemon: No such thing: /containers/{name}/stats\n" for name in ("one", "two")]
    assert capfd.readouterr() == ("", "".join(failures))


def test_the_stream_ends_when_the_daemon_does(daemon: Any, transom: Transom, capfd: Capture) -> None:
    def events(request: Any) -> None:
        request.connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        request.hang_up()

    daemon.on("GET", "/containers/json", [{"Id": ID}])
    daemon.on("GET", "/events", events)
    daemon.on("GET", f"/containers/{ID[:12]}/stats", USED)
    assert transom("stats") == 1
    shown = capfd.readouterr().out
    assert shown.startswith("\033[HCONTAINER ID   NAME")
    assert shown.endswith("\033[J")
    assert "web       40.00%" in shown
