"""Control groups and what they count, on made-up hierarchies of every layout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from transom.drivers.exec import IoCounter
from transom.runtime.accounting import count, interfaces
from transom.runtime.cgroups import Cgroup, layout


def write(root: Path, **files: str) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name.replace("__", ".")).write_text(text)


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    """A v2 hierarchy that counts processors already, and more in what is below."""
    write(tmp_path, cgroup__procs="", cgroup__controllers="cpu memory io", cgroup__subtree_control="cpu")
    write(tmp_path / "transom", cgroup__subtree_control="cpu memory pids")
    return tmp_path


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """v1 hierarchies, two of which share one directory."""
    tmp_path = tmp_path / "v1"
    for name in ("freezer", "memory", "cpu,cpuacct", "pids"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("cpu", "cpuacct"):
        (tmp_path / name).symlink_to("cpu,cpuacct")
    return tmp_path


def test_the_layout_is_told_from_what_is_mounted(v2: Path) -> None:
    assert layout(v2) == "v2"
    (v2 / "cgroup.procs").unlink()
    assert layout(v2) == "none"
    (v2 / "freezer").mkdir()
    assert layout(v2) == "v1"
    write(v2 / "unified", cgroup__procs="")
    assert layout(v2) == "hybrid"


def test_a_group_of_version_2_is_counted_by_what_the_parents_hand_down(v2: Path) -> None:
    Cgroup("/transom/c", v2).create()
    assert (v2 / "transom" / "c").is_dir()
    # A real file collects what is written; these are written over.
    assert (v2 / "cgroup.subtree_control").read_text().startswith("+io")
    assert (v2 / "transom" / "cgroup.subtree_control").read_text() == "+io memory pids"


def test_a_group_of_version_1_is_in_each_hierarchy_once(v1: Path) -> None:
    group = Cgroup("/transom/c", v1)
    group.create()
    places = sorted(str(path.relative_to(v1)) for path in v1.glob("*/transom/c") if not path.parent.parent.is_symlink())
    assert places == ["cpu,cpuacct/transom/c", "freezer/transom/c", "memory/transom/c", "pids/transom/c"]


def test_a_process_is_born_in_version_2_alone_and_moved_elsewhere(v1: Path, v2: Path) -> None:
    group = Cgroup("/transom/c", v2)
    group.create()
    with group.birthplace() as birthplace:
        assert birthplace is not None
        assert os.path.samestat(os.fstat(birthplace), (v2 / "transom/c").stat())
    write(v1 / "unified", cgroup__procs="")
    group = Cgroup("/transom/c", v1)
    for directory in (group.directory, *group.counting.values()):
        assert directory is not None
        write(directory, cgroup__procs="")
    with group.birthplace() as birthplace:
        assert birthplace is None
    group.take(42)
    assert (v1 / "memory/transom/c/cgroup.procs").read_text() == "42"
    assert (v1 / "unified/transom/c/cgroup.procs").read_text() == "42"


def test_the_counters_of_version_1(v1: Path) -> None:
    (v1 / "blkio").mkdir()
    group = Cgroup("/c", v1)
    write(
        group.counting["cpu"],
        cpuacct__usage="5000000000\n",
        cpuacct__usage_percpu="2000000000 3000000000 \n",
        cpuacct__stat="user 300\nsystem 200\n",
        cpu__stat="nr_periods 10\nnr_throttled 3\nthrottled_time 77\n",
    )
    write(
        group.counting["memory"],
        memory__usage_in_bytes="8192\n",
        memory__max_usage_in_bytes="9000\n",
        memory__limit_in_bytes="9223372036854771712\n",
        memory__failcnt="4\n",
        memory__stat="cache 10\ntotal_inactive_file 6\n",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    )
    write(group.counting["pids"], pids__current="3\n", pids__max="100\n")
    write(
        group.counting["blkio"],
        blkio__throttle__io_service_bytes_recursive="8:0 Read 4096\n8:0 Write 10\n8:0 Total 4106\nTotal 4106\n",
        blkio__throttle__io_serviced_recursive="8:0 Read 2\n8:0 Write 1\nTotal 3\n",
    )
    found = count(group)
    assert (found.cpu, found.cpu_user, found.cpu_system) == (5_000_000_000, 3_000_000_000, 2_000_000_000)
    assert found.cpu_per_processor == (2_000_000_000, 3_000_000_000)
    assert (found.periods, found.throttled_periods, found.throttled_time) == (10, 3, 77)
    assert (found.memory, found.memory_peak, found.memory_failures, found.memory_limit) == (8192, 9000, 4, None)
    assert (found.memory_details, found.oom_kills) == ({"cache": 10, "total_inactive_file": 6}, 2)
    assert (found.processes, found.processes_limit) == (3, 100)
    assert found.io == (IoCounter(8, 0, "read", 4096, 2), IoCounter(8, 0, "write", 10, 1))


def test_the_counters_of_version_2(v2: Path) -> None:
    write(
        v2 / "c",
        cpu__stat="usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 10\nnr_throttled 3\nthrottled_usec 7\n",
        memory__current="8192\n",
        memory__max="16384\n",
        memory__stat="anon 10\ninactive_file 6\n",
        memory__events="low 0\noom 3\noom_kill 2\n",
        pids__current="3\n",
        pids__max="max\n",
        io__stat="8:0 rbytes=4096 wbytes=10 rios=2 wios=1 dbytes=0 dios=0\n",
    )
    found = count(Cgroup("/c", v2))
    assert (found.cpu, found.cpu_user, found.cpu_system, found.cpu_per_processor) == (5000, 3000, 2000, ())
    assert (found.periods, found.throttled_periods, found.throttled_time) == (10, 3, 7000)
    assert (found.memory, found.memory_limit, found.memory_peak) == (8192, 16384, None)
    assert (found.memory_details, found.oom_kills) == ({"anon": 10, "inactive_file": 6}, 2)
    assert (found.processes, found.processes_limit) == (3, None)
    assert found.io == (IoCounter(8, 0, "read", 4096, 2), IoCounter(8, 0, "write", 10, 1))


def test_what_is_not_counted_is_not_made_up(v2: Path) -> None:
    (v2 / "c").mkdir()
    found = count(Cgroup("/c", v2))
    assert (found.cpu, found.memory, found.processes, found.io) == (0, None, None, ())


def test_a_process_on_the_machines_network_has_no_interfaces_of_its_own() -> None:
    assert interfaces(os.getpid()) == interfaces(2**22 - 1) == {}
