"""What the Docker SDK does to containers that run."""

from __future__ import annotations

import time
from typing import Any

import pytest
from docker.errors import APIError, NotFound

from testbed.daemon import Daemon


def test_a_container_is_paused_and_goes_on(running: Any) -> None:
    running.pause()
    running.reload()
    assert (running.status, running.attrs["State"]["Paused"]) == ("paused", True)
    with pytest.raises(APIError, match="is paused") as failure:
        running.exec_run("true")
    assert failure.value.status_code == 409
    running.unpause()
    running.reload()
    assert running.status == "running"


def test_a_container_gets_another_name(client: Any, running: Any) -> None:
    running.rename("other")
    assert client.containers.get("other").id == running.id
    with pytest.raises(NotFound):
        client.containers.get("up")


def test_a_restart_policy_is_changed(running: Any) -> None:
    running.update(restart_policy={"Name": "on-failure", "MaximumRetryCount": 2})
    running.reload()
    assert running.attrs["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    with pytest.raises(APIError, match="Memory") as failure:
        running.update(mem_limit="64m")
    assert failure.value.status_code == 501


def test_the_processes_of_a_container_are_listed(running: Any) -> None:
    found = running.top()
    assert found["Titles"][:2] == ["UID", "PID"]
    assert [process[-1] for process in found["Processes"]] == ["sleep 1000"]
    assert running.top(ps_args="-o pid,comm")["Titles"] == ["PID", "COMMAND"]


def test_statistics_are_told_once_and_again(running: Any) -> None:
    once = running.stats(stream=False)
    assert (once["name"], once["pids_stats"].get("current", 1)) == ("/up", 1)
    stream = running.stats(decode=True)
    first, second = next(stream), next(stream)
    assert first["read"] < second["read"]
    assert second["precpu_stats"]["cpu_usage"]["total_usage"] >= first["cpu_stats"]["cpu_usage"]["total_usage"]
    stream.close()


def test_a_health_check_is_run_and_told(client: Any, daemon: Daemon) -> None:
    check = {"test": ["CMD", "true"], "interval": 200_000_000, "retries": 1}
    container = client.containers.run(daemon.busybox, ["sleep", "1000"], detach=True, healthcheck=check)
    while container.health in ("unknown", "starting"):
        time.sleep(0.05)
        container.reload()
    assert container.health == "healthy"
    assert client.containers.list(filters={"health": "healthy"}) == [container]
