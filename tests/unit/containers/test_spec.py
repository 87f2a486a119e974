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
    Device,
    ExecConfig,
    HostConfig,
    Mount,
    MountKind,
    Tmpfs,
    Ulimit,
)
from transom.containers.spec import Surroundings, build_spec, exec_process, merge_environment
from transom.errors import InvalidParameter
from transom.graph.digest import Digest
from transom.graph.model import RunConfig
from transom.runtime.capabilities import bounding_capabilities


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


def test_a_privileged_container_has_what_the_engine_has(container: Container, tmp_path: Path) -> None:
    made = spec(replace(container, host=replace(container.host, privileged=True)), tmp_path)
    assert made["process"]["capabilities"]["bounding"] == list(bounding_capabilities())
    assert made["linux"]["maskedPaths"] == made["linux"]["readonlyPaths"] == []
    assert made["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert "/dev/null" in {device["path"] for device in made["linux"]["devices"]}
    [kernel] = [mount for mount in made["mounts"] if mount["destination"] == "/sys"]
    assert "rw" in kernel["options"]


def test_what_is_asked_for_takes_the_place_of_a_default_mount(container: Container, tmp_path: Path) -> None:
    mounts = (
        Mount(MountKind.TMPFS, "/dev/shm", tmpfs=Tmpfs(size=5, mode=0o700)),
        Mount(MountKind.BIND, "/etc/hosts", "/machine/hosts", read_only=True, mountpoint="/machine/hosts"),
    )
    found = spec(replace(container, mounts=mounts), tmp_path, files={"/etc/hosts": tmp_path})["mounts"]
    at = {item["destination"]: item for item in found}
    assert len(at) == len(found)
    assert {"size=5", "mode=700"} <= set(at["/dev/shm"]["options"])
    assert (at["/etc/hosts"]["source"], "rro" in at["/etc/hosts"]["options"]) == ("/machine/hosts", True)


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


def options(container: Container, root: Path, mount: Mount) -> list[str]:
    mounts = spec(replace(container, mounts=(mount,)), root)["mounts"]
    return next(item["options"] for item in mounts if item["destination"] == mount.destination)


def test_a_read_only_bind_is_so_all_the_way_down_unless_it_was_said_otherwise(
    container: Container, tmp_path: Path
) -> None:
    bind = Mount(MountKind.BIND, "/x", "/y", mountpoint="/y", read_only=True)
    assert options(container, tmp_path, bind) == ["rbind", "rro", "rprivate"]
    assert options(container, tmp_path, replace(bind, writable_below=True)) == ["rbind", "ro", "rprivate"]
    assert options(container, tmp_path, replace(bind, recursive=False)) == ["bind", "ro", "rprivate"]


def test_a_part_of_a_volume_is_bound_instead_of_all_of_it(container: Container, tmp_path: Path) -> None:
    volume = Mount(MountKind.VOLUME, "/x", "pages", mountpoint="/volumes/pages", part="/staged")
    mounts = spec(replace(container, mounts=(volume,)), tmp_path)["mounts"]
    assert next(item["source"] for item in mounts if item["destination"] == "/x") == "/staged"


def test_namespaces_are_new_joined_or_the_machines(container: Container, tmp_path: Path) -> None:
    chosen = {"mount": "", "pid": "/proc/7/ns/pid", "uts": ""}
    linux = spec(container, tmp_path, namespaces=chosen, private_network=False)["linux"]
    assert linux["namespaces"] == [{"type": "mount"}, {"type": "pid", "path": "/proc/7/ns/pid"}, {"type": "uts"}]


def test_only_a_namespace_of_its_own_gets_a_host_name(container: Container, tmp_path: Path) -> None:
    assert spec(container, tmp_path)["hostname"] == "web"
    assert spec(container, tmp_path, namespaces={"mount": ""})["hostname"] == ""


def shared_memory(container: Container, root: Path, **changes: Any) -> list[dict[str, Any]]:
    return [item for item in spec(container, root, **changes)["mounts"] if item["destination"] == "/dev/shm"]


def test_memory_is_shared_by_a_bind_and_not_there_where_it_is_not_wanted(container: Container, tmp_path: Path) -> None:
    assert [item["type"] for item in shared_memory(container, tmp_path)] == ["tmpfs"]
    (bind,) = shared_memory(container, tmp_path, shared_memory=Path("/shims/x/mounts/shm"))
    assert (bind["type"], bind["source"]) == ("bind", "/shims/x/mounts/shm")
    assert shared_memory(replace(container, host=HostConfig(ipc="none")), tmp_path) == []


def test_a_device_is_made_as_it_is_outside_and_allowed(container: Container, tmp_path: Path) -> None:
    given = replace(container, host=HostConfig(devices=(Device("/dev/null", "/dev/void", "r"),)))
    linux = spec(given, tmp_path)["linux"]
    mode = Path("/dev/null").stat().st_mode & 0o7777
    node = {"path": "/dev/void", "type": "c", "major": 1, "minor": 3, "fileMode": mode, "uid": 0, "gid": 0}
    assert linux["devices"] == [node]
    assert linux["resources"]["devices"] == [{"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}]


def test_a_directory_stands_for_the_devices_below_it(container: Container, tmp_path: Path) -> None:
    given = replace(container, host=HostConfig(devices=(Device("/dev", "/opt/dev"),)))
    paths = [node["path"] for node in spec(given, tmp_path)["linux"]["devices"]]
    assert {"/opt/dev/null", "/opt/dev/zero"} <= set(paths)
    # Links are no devices, and terminals are the container's own.
    assert {"/opt/dev/stdin", "/opt/dev/console"}.isdisjoint(paths)
    assert not [path for path in paths if path.startswith("/opt/dev/pts")]


def test_a_link_to_a_device_stands_for_it(container: Container, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    given = replace(container, host=HostConfig(devices=(Device(f"{tmp_path}/link", "/dev/void"),)))
    assert [node["path"] for node in spec(given, tmp_path)["linux"]["devices"]] == ["/dev/void"]


@pytest.mark.parametrize("source", ["/dev/no-such-device", "/etc/passwd"])
def test_a_device_that_is_none_is_refused(container: Container, tmp_path: Path, source: str) -> None:
    given = replace(container, host=HostConfig(devices=(Device(source, source),)))
    with pytest.raises(InvalidParameter, match=f'error gathering device information .* "{source}"'):
        spec(given, tmp_path)


def test_an_own_network_has_dockers_settings_and_those_that_were_asked_for(
    container: Container, tmp_path: Path
) -> None:
    given = replace(container, host=HostConfig(sysctls={"net.ipv4.ip_forward": "1"}))
    found = spec(given, tmp_path)["linux"]["sysctl"]
    assert found["net.ipv4.ip_forward"] == "1"
    assert found["net.ipv4.ip_unprivileged_port_start"] == "0"
    assert spec(container, tmp_path, private_network=False)["linux"]["sysctl"] == {}


def test_an_init_is_asked_for_by_an_annotation(container: Container, tmp_path: Path) -> None:
    given = replace(container, host=HostConfig(init=True, annotations={"a": "b"}))
    assert spec(given, tmp_path)["annotations"] == {"a": "b", "transom.init": "true"}
    assert spec(container, tmp_path)["annotations"] == {}


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
