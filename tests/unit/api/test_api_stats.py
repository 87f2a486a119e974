"""What containers use, in Docker's shape."""

from __future__ import annotations

import json
import queue
from types import SimpleNamespace

import pytest

from transom.containers.measurements import Measurement
from transom.containers.model import Container, ContainerConfig, HostConfig, State, Status
from transom.drivers.exec import Counters, IoCounter
from transom.graph.digest import Digest
from transom_api.shapes_stats import stats_details

ID = "c" * 64
COUNTERS = Counters(
    cpu=500,
    cpu_user=300,
    cpu_system=200,
    cpu_per_processor=(200, 300),
    periods=3,
    throttled_periods=2,
    throttled_time=1,
    memory=4096,
    memory_peak=8192,
    memory_failures=0,
    memory_details={"inactive_file": 5},
    processes=2,
    io=(IoCounter(8, 0, "read", 4096, 1),),
)
SECOND = 1_000_000_000


def container(status=Status.RUNNING):
    return Container(
        ID,
        "web",
        0,
        Digest.of(b""),
        ContainerConfig("image"),
        HostConfig(),
        "vfs",
        "chroot",
        "none",
        "json-file",
        state=State(status=status),
    )


def measurement(seconds, **changes):
    return Measurement(seconds * SECOND, Counters(cpu=seconds, **changes), seconds * 10, 2, 1 << 30)


@pytest.fixture
def watched(engine):
    """An engine whose container is measured three times and then gone."""

    def watch(job, *, container, watcher):
        for seconds in (1, 2, 3):
            watcher(measurement(seconds))
        watcher(None)
        return "watch"

    ended = queue.SimpleQueue()
    engine.supervisor = SimpleNamespace(measurements=SimpleNamespace(end=ended.put))
    engine.ended = ended
    engine.results.update(inspect=container(), stats_watch=watch, stats=measurement(1))
    return engine


def test_a_measurement_has_dockers_names():
    found = stats_details(container(), Measurement(SECOND, COUNTERS, 900, 2, 1 << 30, {"eth0": {"rx_bytes": 7}}))
    assert (found["name"], found["id"], found["num_procs"], found["storage_stats"]) == ("/web", ID, 0, {})
    assert (found["read"], found["preread"]) == ("1970-01-01T00:00:01Z", "0001-01-01T00:00:00Z")
    assert found["cpu_stats"] == {
        "cpu_usage": {
            "total_usage": 500,
            "percpu_usage": (200, 300),
            "usage_in_kernelmode": 200,
            "usage_in_usermode": 300,
        },
        "system_cpu_usage": 900,
        "online_cpus": 2,
        "throttling_data": {"periods": 3, "throttled_periods": 2, "throttled_time": 1},
    }
    assert found["memory_stats"] == {
        "usage": 4096,
        "max_usage": 8192,
        "stats": {"inactive_file": 5},
        "failcnt": 0,
        "limit": 1 << 30,
    }
    assert found["pids_stats"] == {"current": 2}
    assert found["blkio_stats"]["io_service_bytes_recursive"] == [{"major": 8, "minor": 0, "op": "read", "value": 4096}]
    assert found["networks"] == {"eth0": {"rx_bytes": 7}}


@pytest.mark.parametrize(("limit", "shown"), [(None, 1000), (500, 500), (5000, 1000)])
def test_no_container_has_more_memory_than_the_machine(limit, shown):
    found = stats_details(container(), Measurement(1, Counters(memory=1, memory_limit=limit), 1, 1, 1000))
    assert found["memory_stats"]["limit"] == shown


def test_nothing_is_measured_of_a_container_that_does_not_run():
    found = stats_details(container(Status.EXITED), Measurement())
    assert (found["memory_stats"], found["pids_stats"]) == ({}, {})
    assert "networks" not in found
    assert found["cpu_stats"] == found["precpu_stats"]


def test_a_stream_has_each_measurement_with_the_one_before(api, watched):
    answer = api.get("/containers/web/stats")
    lines = [json.loads(line) for line in answer.body.splitlines()]
    usage = [
        (line["precpu_stats"]["cpu_usage"]["total_usage"], line["cpu_stats"]["cpu_usage"]["total_usage"])
        for line in lines
    ]
    assert usage == [(0, 1), (1, 2), (2, 3)]
    assert watched.ended.get(timeout=20) == "watch"


def test_one_answer_has_the_difference_of_a_second(api, watched):
    found = api.get("/containers/web/stats?stream=false").json
    assert found["precpu_stats"]["cpu_usage"]["total_usage"] < found["cpu_stats"]["cpu_usage"]["total_usage"]
    assert watched.ended.get(timeout=20) == "watch"


def test_one_shot_is_answered_at_once(api, watched):
    found = api.get("/containers/web/stats?stream=0&one-shot=1").json
    assert (found["cpu_stats"]["cpu_usage"]["total_usage"], found["preread"]) == (1, "0001-01-01T00:00:00Z")
    assert [job.name for job in watched.jobs] == ["inspect", "stats"]


def test_a_stopped_container_is_not_waited_for(api, watched):
    watched.results.update(inspect=container(Status.EXITED), stats=Measurement())
    assert api.get("/containers/web/stats?stream=0").json["memory_stats"] == {}


def test_a_stream_of_one_shot_is_refused(api, watched):
    answer = api.get("/containers/web/stats?one-shot=1")
    assert (answer.status, answer.message) == (400, "cannot have stream=true and one-shot=true")
