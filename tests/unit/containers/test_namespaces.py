"""Whose namespaces a container has, and which parameters of the kernel it may set in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from transom.containers.model import Container, ContainerConfig, HostConfig, State, Status
from transom.containers.namespaces import (
    check_modes,
    check_support,
    choose_namespaces,
    find_shared_memory,
    name_donors,
)
from transom.containers.sysctls import check_sysctls
from transom.errors import Conflict, InvalidParameter, NotFound
from transom.graph.digest import Digest

Find = Callable[[str], Container]


def container(identity: str, host: HostConfig, status: Status = Status.RUNNING) -> Container:
    return Container(
        identity, identity, 0, Digest.of(b""), ContainerConfig("image"), host, "vfs", "namespaces", "none", "json-file",
        state=State(status, pid=42),
    )  # fmt: skip


@pytest.fixture
def find() -> Find:
    known = {
        "shares": container("1" * 64, HostConfig(ipc="shareable")),
        "keeps": container("2" * 64, HostConfig()),
        "joins": container("3" * 64, HostConfig(ipc=f"container:{'1' * 64}")),
        "open": container("4" * 64, HostConfig(ipc="host")),
        "over": container("5" * 64, HostConfig(ipc="shareable"), Status.EXITED),
    }
    known |= {item.id: item for item in known.values()}

    def find(name: str) -> Container:
        if name not in known:
            raise NotFound(f"No such container: {name}")
        return known[name]

    return find


@pytest.mark.parametrize(
    "host",
    [
        HostConfig(ipc="bogus"),
        HostConfig(ipc="container:"),
        HostConfig(pid="private"),
        HostConfig(pid="container:"),
        HostConfig(uts="container:x"),
        HostConfig(cgroupns="shareable"),
    ],
)
def test_a_mode_that_there_is_not_is_refused(host: HostConfig) -> None:
    with pytest.raises(InvalidParameter, match=r"invalid .* mode"):
        check_modes(host)


def test_all_are_new_where_nothing_is_said(find: Find) -> None:
    assert choose_namespaces(HostConfig(), find) == dict.fromkeys(("mount", "pid", "ipc", "uts", "cgroup"), "")
    assert choose_namespaces(HostConfig(ipc="none", cgroupns="private"), find)["ipc"] == ""


def test_the_machines_are_not_made(find: Find) -> None:
    host = HostConfig(ipc="host", pid="host", uts="host", cgroupns="host")
    check_modes(host)
    assert choose_namespaces(host, find) == {"mount": ""}


def test_another_containers_are_joined_by_its_process(find: Find) -> None:
    chosen = choose_namespaces(HostConfig(pid="container:keeps", ipc="container:shares"), find)
    assert (chosen["pid"], chosen["ipc"]) == ("/proc/42/ns/pid", "/proc/42/ns/ipc")


def test_another_container_is_remembered_by_its_id(find: Find) -> None:
    named = name_donors(HostConfig(pid="container:keeps", ipc="host"), find)
    assert (named.pid, named.ipc) == (f"container:{'2' * 64}", "host")
    with pytest.raises(NotFound, match="No such container: nosuch"):
        name_donors(HostConfig(pid="container:nosuch"), find)


def test_a_container_that_is_not_there_or_does_not_run_cannot_be_joined(find: Find) -> None:
    with pytest.raises(InvalidParameter, match="failed to join PID namespace: No such container: nosuch"):
        choose_namespaces(HostConfig(pid="container:nosuch"), find)
    with pytest.raises(Conflict, match=r"failed to join IPC namespace: container 5{64} is not running"):
        choose_namespaces(HostConfig(ipc="container:over"), find)


@pytest.mark.parametrize(
    ("mode", "where"),
    [
        ("", None),
        ("private", None),
        ("none", None),
        ("host", "/dev/shm"),
        ("container:shares", "1"),
        ("container:joins", "1"),
        ("container:open", "/dev/shm"),
    ],
)
def test_memory_is_shared_with_those_whose_namespace_it_is(
    find: Find, tmp_path: Path, mode: str, where: str | None
) -> None:
    (tmp_path / ("1" * 64)).mkdir()
    found = find_shared_memory(HostConfig(ipc=mode), find, lambda donor: tmp_path / donor)
    expected = {None: None, "/dev/shm": Path("/dev/shm"), "1": tmp_path / ("1" * 64)}[where]
    assert found == expected


def test_memory_of_a_container_that_keeps_it_cannot_be_shared(find: Find, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match=r"non-shareable IPC \(hint: use IpcMode:shareable for the donor"):
        find_shared_memory(HostConfig(ipc="container:keeps"), find, lambda donor: tmp_path / donor)


def test_a_driver_is_not_asked_for_what_it_cannot_keep() -> None:
    kept = frozenset(("mount",))
    check_support(HostConfig(ipc="host", pid="host", uts="host", cgroupns="host"), "chroot", kept)
    for host in (HostConfig(ipc="shareable"), HostConfig(pid="container:x"), HostConfig(cgroupns="private")):
        with pytest.raises(InvalidParameter, match=r"the exec driver chroot has no .* namespaces"):
            check_support(host, "chroot", kept)


@pytest.mark.parametrize(
    "name", ["net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/forwarding", "kernel.shmmax", "fs.mqueue.msg_max"]
)
def test_parameters_of_own_namespaces_may_be_set(name: str) -> None:
    check_sysctls([name], {"ipc", "uts"}, private_network=True)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("net.ipv4.ip_forward", "not allowed in host network namespace"),
        ("kernel.shmmax", "not allowed in the hosts ipc namespace"),
        ("kernel.domainname", "not allowed in the hosts uts namespace"),
        ("kernel.hostname", "use --hostname"),
        ("kernel.panic", "not in a separate kernel namespace"),
        ("vm.swappiness", "not in a separate kernel namespace"),
        ("net.//.//.kernel.panic", "invalid sysctl"),
        ("", "invalid sysctl"),
    ],
)
def test_parameters_that_are_the_machines_are_refused(name: str, sentence: str) -> None:
    with pytest.raises(InvalidParameter, match=sentence):
        check_sysctls([name], set(), private_network=False)
