"""Prunes and disk usage on what a daemon says."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

Transom = Callable[..., int]
Capture = pytest.CaptureFixture[str]

USAGE = {
    "LayersSize": 1000,
    "Images": [
        {"Id": "sha256:" + "a" * 64, "RepoTags": ["busybox:latest"], "Created": 1, "Size": 600, "SharedSize": 100,
         "Containers": 1},
        {"Id": "sha256:" + "b" * 64, "RepoTags": [], "Created": 1, "Size": 500, "SharedSize": 100, "Containers": 0},
    ],
    "Containers": [
        {"Id": "c" * 64, "Names": ["/web"], "Image": "busybox", "Command": "sh", "Created": 1, "State": "running",
         "Status": "Up", "SizeRw": 30, "SizeRootFs": 630},
        {"Id": "d" * 64, "Names": ["/old"], "Image": "busybox", "Command": "sh", "Created": 1, "State": "exited",
         "Status": "Exited", "SizeRw": 10, "SizeRootFs": 610},
    ],
    "Volumes": [
        {"Name": "data", "Driver": "local", "Mountpoint": "/data", "Scope": "local",
         "UsageData": {"RefCount": 1, "Size": 7}},
        {"Name": "far", "Driver": "nfs", "Mountpoint": "", "Scope": "local", "UsageData": {"RefCount": 0, "Size": -1}},
    ],
    "BuildCache": [],
}  # fmt: skip


@pytest.fixture
def prunable(daemon: Any) -> Any:
    daemon.on("POST", "/containers/prune", {"ContainersDeleted": ["c1", "c2"], "SpaceReclaimed": 1000})
    daemon.on("POST", "/networks/prune", {"NetworksDeleted": None})
    daemon.on("POST", "/volumes/prune", {"VolumesDeleted": ["v1"], "SpaceReclaimed": 200})
    daemon.on("POST", "/images/prune", {"ImagesDeleted": None, "SpaceReclaimed": 30})
    daemon.on("POST", "/build/prune", {"CachesDeleted": None, "SpaceReclaimed": 4})
    return daemon


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.mark.parametrize("text", ["n\n", "", "yes\n"])
@pytest.mark.parametrize(
    "command", [("container", "prune"), ("volume", "prune"), ("network", "prune"), ("system", "prune")]
)
def test_nothing_is_removed_without_a_yes(
    prunable: Any,
    transom: Transom,
    monkeypatch: pytest.MonkeyPatch,
    capfd: Capture,
    command: tuple[str, ...],
    text: str,
) -> None:
    answer(monkeypatch, text)
    assert transom(*command) == 0
    assert not [request for request in prunable.requests if request.method == "POST"]
    assert capfd.readouterr().out.endswith("Are you sure you want to continue? [y/N] ")


def test_all_that_is_removed_is_listed_and_added_up(prunable: Any, transom: Transom, capfd: Capture) -> None:
    assert transom("system", "prune", "-f", "--volumes", "--filter", "label=a") == 0
    assert capfd.readouterr().out == (
        "Deleted Containers:\nc1\nc2\n\nDeleted Volumes:\nv1\n\nTotal reclaimed space: 1.234kB\n"
    )
    assert prunable.asked == [
        "POST /containers/prune",
        "POST /networks/prune",
        "POST /volumes/prune",
        "POST /images/prune",
        "POST /build/prune",
    ]
    assert all("label" in request.target for request in prunable.requests)


def test_the_question_says_what_will_go(
    prunable: Any, transom: Transom, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    answer(monkeypatch, "y\n")
    assert transom("system", "prune", "-a", "--filter", "until=10h", "--filter", "until=2h") == 0
    assert capfd.readouterr().out.startswith(
        "WARNING! This will remove:\n"
        "  - all stopped containers\n"
        "  - all networks not used by at least one container\n"
        "  - all images without at least one container associated to them\n"
        "  - all build cache\n"
        "\n"
        "  Items to be pruned will be filtered with:\n"
        "  - until=2h\n"
        "  - until=10h\n"
        "\n"
        "Are you sure you want to continue? [y/N] Deleted Containers:\n"
    )
    del prunable


def test_volumes_that_have_a_name_go_only_with_all(prunable: Any, transom: Transom, capfd: Capture) -> None:
    assert transom("volume", "prune", "-f") == 0
    assert transom("volume", "prune", "-af") == 0
    assert ["all" in request.target for request in prunable.requests] == [False, True]
    assert transom("volume", "prune", "-a", "--filter", "all=1") == 1
    assert capfd.readouterr().err == "conflicting options: cannot specify both --all and --filter all=1\n"


def test_until_does_not_go_with_volumes(prunable: Any, transom: Transom, capfd: Capture) -> None:
    assert transom("system", "prune", "-f", "--volumes", "--filter", "until=1h") == 1
    assert capfd.readouterr().err == 'ERROR: The "until" filter is not supported with "--volumes"\n'
    assert not prunable.asked


def test_disk_usage_has_a_line_for_each_kind(daemon: Any, transom: Transom, capfd: Capture) -> None:
    daemon.on("GET", "/system/df", USAGE)
    assert transom("system", "df", "--format", "{{.Type}}: {{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}") == 0
    assert capfd.readouterr().out == (
        "Images: 2 1 1kB 500B (50%)\n"
        "Containers: 2 1 40B 10B (25%)\n"
        "Local Volumes: 2 1 7B 0B (0%)\n"
        "Build Cache: 0 0 0B 0B\n"
    )


def test_disk_usage_has_a_line_for_each_thing(daemon: Any, transom: Transom, capfd: Capture) -> None:
    daemon.on("GET", "/system/df", USAGE)
    assert transom("system", "df", "-v") == 0
    lines = capfd.readouterr().out.splitlines()
    heads = [line for line in lines if "usage:" in line]
    assert heads == [
        "Images space usage:",
        "Containers space usage:",
        "Local Volumes space usage:",
        "Build cache usage: 0B",
    ]
    assert lines[2].split() == "REPOSITORY TAG IMAGE ID CREATED SIZE SHARED SIZE UNIQUE SIZE CONTAINERS".split()
    assert lines[3].startswith("busybox      latest    aaaaaaaaaaaa")
    assert lines[3].endswith("600B      100B          500B          1")
    assert lines[4].startswith("<none>       <none>    bbbbbbbbbbbb")


def test_what_is_kept_of_builds_is_removed(daemon: Any, transom: Transom, capfd: Capture) -> None:
    daemon.on("POST", "/build/prune", {"CachesDeleted": ["one", "two"], "SpaceReclaimed": 2500})
    flags = "-a -f --filter until=1h --keep-storage 1k --max-used-space 2k --min-free-space 3k"
    assert transom("builder", "prune", *flags.split()) == 0
    assert capfd.readouterr().out == "Deleted build cache objects:\none\ntwo\n\nTotal reclaimed space: 2.5kB\n"
    assert parse_qs(urlsplit(daemon.requests[0].target).query) == {
        "all": ["1"],
        "filters": ['{"until": ["1h"]}'],
        "reserved-space": ["1024"],
        "max-used-space": ["2048"],
        "min-free-space": ["3072"],
    }


def test_what_is_kept_of_builds_is_listed(daemon: Any, transom: Transom, capfd: Capture) -> None:
    record = {
        "ID": "sha256:" + "ab" * 32, "Type": "regular", "Description": "RUN make", "InUse": True, "Shared": False,
        "Size": 1234567, "CreatedAt": "2001-01-01T00:00:00Z", "LastUsedAt": None, "UsageCount": 3, "Parents": None,
    }  # fmt: skip
    daemon.on(
        "GET", "/system/df", {"LayersSize": 0, "Images": [], "Containers": [], "Volumes": [], "BuildCache": [record]}
    )
    assert transom("system", "df", "-v") == 0
    row = capfd.readouterr().out.splitlines()[-1].split()
    assert [*row[:3], *row[-2:]] == ["abababababab*", "regular", "1.23MB", "3", "false"]
