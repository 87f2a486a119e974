"""A container as an OCI runtime bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.containers.model import (
    Container,
    ContainerConfig,
    ExecConfig,
    HostConfig,
    Mount,
    MountKind,
    Tmpfs,
    Ulimit,
)
from transom.containers.spec import Surroundings, build_spec, exec_process, merge_environment
from transom.graph.digest import Digest
from transom.graph.model import RunConfig


@pytest.fixture
def container() -> Container:
    run = RunConfig(entrypoint=("sh", "-c"), cmd=("true",), env=("A=1",), working_dir="/srv")
    config = ContainerConfig("image", run, hostname="web")
    return Container(
        "i" * 64, "name", 0, Digest.of(b""), config, HostConfig(), "vfs", "namespaces", "none", "json-file"
    )


def spec(container: Container, root: Path, **changes: Any) -> dict[str, Any]:
    values = {"rootfs": root, "cgroup": "/transom/i", "files": {}, "private_network": True, **changes}
    return build_spec(container, Surroundings(**values))


def test_the_process_is_the_entrypoint_with_its_arguments(container: Container, tmp_path: Path) -> None:
    process = spec(container, tmp_path)["process"]
    assert process["args"] == ["sh", "-c", "true"]
    assert process["cwd"] == "/srv"
    assert "HOSTNAME=web" in process["env"]
    assert "A=1" in process["env"]
    assert "HOME=/" in process["env"]


def test_root_has_dockers_capabilities_and_another_user_has_none(container: Container, tmp_path: Path) -> None:
    root = spec(container, tmp_path)["process"]["capabilities"]
    other_run = replace(container.config.run, user="1000")
    other = replace(container, config=replace(container.config, run=other_run))
    nobody = spec(other, tmp_path)["process"]["capabilities"]
    assert "CAP_NET_RAW" in root["effective"]
    assert "CAP_SYS_ADMIN" not in root["bounding"]
    assert (nobody["effective"], nobody["permitted"]) == ([], [])
    assert nobody["bounding"] == root["bounding"]


def test_what_is_asked_for_takes_the_place_of_a_default_mount(container: Container, tmp_path: Path) -> None:
    mounts = (
        Mount(MountKind.TMPFS, "/dev/shm", tmpfs=Tmpfs(size=5, mode=0o700)),
        Mount(MountKind.BIND, "/etc/hosts", "/machine/hosts", read_only=True, mountpoint="/machine/hosts"),
    )
    found = spec(replace(container, mounts=mounts), tmp_path, files={"/etc/hosts": tmp_path})["mounts"]
    at = {item["destination"]: item for item in found}
    assert len(at) == len(found)
    assert {"size=5", "mode=700"} <= set(at["/dev/shm"]["options"])
    assert (at["/etc/hosts"]["source"], "ro" in at["/etc/hosts"]["options"]) == ("/machine/hosts", True)


def test_outer_mounts_come_before_inner_ones(container: Container, tmp_path: Path) -> None:
    mounts = (Mount(MountKind.TMPFS, "/a/b/c"), Mount(MountKind.TMPFS, "/a"), Mount(MountKind.TMPFS, "/a/b"))
    destinations = [item["destination"] for item in spec(replace(container, mounts=mounts), tmp_path)["mounts"]]
    assert [path for path in destinations if path.startswith("/a")] == ["/a", "/a/b", "/a/b/c"]


@pytest.mark.parametrize(
    ("propagations", "root"),
    [((), "rprivate"), (("rslave", ""), "rslave"), (("rslave", "rshared"), "shared")],
)
def test_the_root_passes_mounts_on_as_far_as_a_bind_needs(
    container: Container, tmp_path: Path, propagations: tuple[str, ...], root: str
) -> None:
    mounts = tuple(
        Mount(MountKind.BIND, f"/m{index}", "/x", propagation=propagation, mountpoint="/x")
        for index, propagation in enumerate(propagations)
    )
    assert spec(replace(container, mounts=mounts), tmp_path)["linux"]["rootfsPropagation"] == root


def test_limits_have_their_posix_names_and_unlimited_its_number(container: Container, tmp_path: Path) -> None:
    limited = replace(container, host=HostConfig(ulimits=(Ulimit("nofile", 10, -1),)))
    (limit,) = spec(limited, tmp_path)["process"]["rlimits"]
    assert limit == {"type": "RLIMIT_NOFILE", "soft": 10, "hard": 2**64 - 1}


@pytest.mark.parametrize("private", [True, False])
def test_a_network_namespace_is_made_where_the_network_is_private(
    container: Container, tmp_path: Path, private: bool
) -> None:
    namespaces = spec(container, tmp_path, private_network=private)["linux"]["namespaces"]
    assert ({"type": "network"} in namespaces) is private


def test_an_exec_inherits_environment_directory_and_user(container: Container, tmp_path: Path) -> None:
    process = exec_process(container, ExecConfig(("ls",), env=("B=2", "A=3"), tty=True), tmp_path)
    assert process["cwd"] == "/srv"
    assert process["terminal"] is True
    assert {"A=3", "B=2", "TERM=xterm"} <= set(process["env"])


_names = st.text("ABC", min_size=1, max_size=2)
_items = st.lists(st.builds(lambda name, value: f"{name}={value}", _names, st.text("xy=", max_size=3)))


@given(_items, _items)
def test_a_merged_environment_has_each_name_once_and_changes_win(base: list[str], changes: list[str]) -> None:
    merged = dict(item.split("=", 1) for item in merge_environment(base, changes))
    assert merged == {
        **dict(item.split("=", 1) for item in base),
        **dict(item.split("=", 1) for item in changes),
    }
    assert len(merged) == len(merge_environment(base, changes))


def test_a_name_alone_removes_a_variable() -> None:
    assert merge_environment(("A=1", "B=2"), ("A",)) == ("B=2",)
