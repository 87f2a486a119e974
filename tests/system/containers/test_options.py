"""What a container can be asked to be: whose namespaces it has, what is mounted in it, its init, its devices."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.daemon import GRAPHDRIVER, Daemon
from testbed.waiting import wait_for_log
from transom.runtime.syscalls.mounts import MNT_DETACH, MS_BIND, MS_PRIVATE, MS_SHARED, mount, umount2

Run = Callable[..., str]


@pytest.fixture(autouse=True)
def nothing_stays(daemon: Daemon) -> Iterator[None]:
    yield
    containers = daemon.docker("ps", "-aq").stdout.split()
    if containers:
        daemon.docker("rm", "-fv", *containers)
    volumes = daemon.docker("volume", "ls", "-q").stdout.split()
    if volumes:
        daemon.docker("volume", "rm", *volumes)


@pytest.fixture(params=["docker", "transom"])
def run(request: pytest.FixtureRequest, daemon: Daemon) -> Run:
    """Run a container to its end with one of the clients, and return what it wrote, or what the client complained."""
    client = getattr(daemon, request.param)

    def run(*arguments: str, check: bool = True) -> str:
        done = client("run", "--rm", *arguments, check=check)
        return str(done.stdout if check else done.stderr)

    return run


def namespace(kind: str) -> str:
    return str(Path(f"/proc/self/ns/{kind}").readlink())


# Namespaces


@pytest.mark.parametrize(
    ("flag", "kind"), [("--ipc", "ipc"), ("--pid", "pid"), ("--uts", "uts"), ("--cgroupns", "cgroup")]
)
def test_a_namespace_can_be_the_machines(daemon: Daemon, run: Run, flag: str, kind: str) -> None:
    show = (daemon.busybox, "readlink", f"/proc/self/ns/{kind}")
    assert run(flag, "host", *show).strip() == namespace(kind)
    assert run(*show).strip() != namespace(kind)


def test_the_machines_host_name_is_seen_and_cannot_be_changed(daemon: Daemon, run: Run) -> None:
    shown = run("--uts", "host", daemon.busybox, "sh", "-c", "hostname; hostname other 2>&1; hostname")
    assert shown.splitlines()[0] == shown.splitlines()[-1] == os.uname().nodename
    assert "conflicting options: hostname and the UTS mode" in run(
        "--uts", "host", "-h", "x", daemon.busybox, "true", check=False
    )


def test_processes_of_another_container_are_seen_and_can_be_signalled(daemon: Daemon, run: Run) -> None:
    script = "trap 'exit 42' USR1; echo ready; while :; do sleep 0.05; done"
    daemon.docker("run", "-d", "--name", "donor", daemon.busybox, "sh", "-c", script)
    wait_for_log(daemon, "donor", "ready")
    run("--pid", "container:donor", daemon.busybox, "kill", "-USR1", "1")
    assert daemon.docker("wait", "donor").stdout == "42\n"


def test_control_groups_are_seen_as_another_container_sees_them(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "donor", daemon.busybox, "sleep", "1000")
    show = ("readlink", "/proc/self/ns/cgroup")
    shown = daemon.transom("run", "--rm", "--cgroupns", "container:donor", daemon.busybox, *show).stdout
    assert shown == daemon.docker("exec", "donor", *show).stdout
    assert daemon.transom("run", "--rm", daemon.busybox, *show).stdout != shown
    refused = daemon.transom("run", "--rm", "--cgroupns", "container:nosuch", daemon.busybox, "true", check=False)
    assert (refused.returncode, "No such container: nosuch" in refused.stderr) == (125, True)


def test_memory_is_shared_with_a_container_that_shares_it(daemon: Daemon, run: Run) -> None:
    daemon.docker(
        "run", "-d", "--name", "donor", "--ipc", "shareable", "--shm-size", "1m", daemon.busybox, "sleep", "1000"
    )
    daemon.docker("exec", "donor", "sh", "-c", "echo shared > /dev/shm/file")
    show = (
        "sh",
        "-c",
        "cat /dev/shm/file; readlink /proc/self/ns/ipc; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2",
    )
    text, joined, size = run("--ipc", "container:donor", daemon.busybox, *show).split()
    assert (text, size) == ("shared", "1024")
    assert joined == daemon.docker("exec", "donor", "readlink", "/proc/self/ns/ipc").stdout.strip()
    (found,) = json.loads(daemon.docker("inspect", "donor").stdout)
    assert found["HostConfig"]["IpcMode"] == "shareable"


def test_memory_is_there_again_after_a_restart_and_gone_with_the_container(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "donor", "--ipc", "shareable", daemon.busybox, "sleep", "1000")
    daemon.docker("restart", "-t", "0", "donor")
    assert daemon.docker("exec", "donor", "touch", "/dev/shm/x").returncode == 0
    daemon.docker("rm", "-f", "donor")
    assert str(daemon.exec_root / "shims") not in Path("/proc/self/mountinfo").read_text()


def test_without_ipc_there_is_no_shared_memory(daemon: Daemon, run: Run) -> None:
    assert run("--ipc", "none", daemon.busybox, "sh", "-c", "test -e /dev/shm || echo gone") == "gone\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--ipc", "container:donor"], "non-shareable IPC (hint: use IpcMode:shareable for the donor container)"),
        (["--ipc", "container:over"], "is not running"),
        (["--pid", "container:over"], "failed to join PID namespace: container"),
        (["--pid", "container:nosuch"], "Error response from daemon: No such container: nosuch"),
        (["--ipc", "bogus"], "invalid IPC mode: bogus"),
        (["--runtime", "chroot", "--ipc", "shareable"], "the exec driver chroot has no ipc namespaces"),
        (["--runtime", "chroot", "--sysctl", "net.ipv4.ip_forward=1"], "not allowed in host network namespace"),
        (["--network", "host", "--sysctl", "net.ipv4.ip_forward=1"], "not allowed in host network namespace"),
        (["--volumes-from", "nosuch"], "No such container: nosuch"),
        (["--device", "/dev/no-such-device"], "no such file or directory"),
        (["--mount", "type=image,src=nosuch,dst=/x"], "No such image: nosuch:latest"),
        (["--mount", "type=volume,src=pages,dst=/x,volume-subpath=nosuch"], "cannot access path"),
        (["--mount", "type=volume,dst=/x,volume-subpath=a"], "must not set Subpath when using anonymous volumes"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(daemon: Daemon, run: Run, options: list[str], sentence: str) -> None:
    daemon.docker("run", "-d", "--name", "donor", daemon.busybox, "sleep", "1000")
    daemon.docker("run", "--name", "over", daemon.busybox, "true")
    said = run(*options, daemon.busybox, "true", check=False)
    assert sentence in said.splitlines()[0]
    assert len(daemon.docker("ps", "-aq").stdout.split()) == 2


def test_an_exec_is_in_the_namespaces_of_its_container(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "open", "--pid", "host", "--ipc", "host", daemon.busybox, "sleep", "1000")
    daemon.docker("run", "-d", "--name", "donor", daemon.busybox, "sleep", "1000")
    daemon.docker("run", "-d", "--name", "joined", "--pid", "container:donor", daemon.busybox, "sleep", "1000")
    assert daemon.docker("exec", "open", "readlink", "/proc/self/ns/pid").stdout.strip() == namespace("pid")
    inside, outside = (
        daemon.docker("exec", name, "readlink", "/proc/self/ns/pid").stdout for name in ("joined", "donor")
    )
    assert inside == outside


def test_what_a_container_started_among_the_machines_processes_ends_with_it(daemon: Daemon) -> None:
    script = "sleep 4321 & exec sleep 4321"
    daemon.docker("run", "-d", "--name", "open", "--pid", "host", "--init", daemon.busybox, "sh", "-c", script)
    daemon.docker("rm", "-f", "open")
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert b"sleep\x004321\0" not in running


def test_a_container_ends_with_the_one_whose_processes_it_joined(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "donor", daemon.busybox, "sleep", "1000")
    daemon.docker("run", "-d", "--name", "joined", "--pid", "container:donor", daemon.busybox, "sleep", "1000")
    daemon.docker("kill", "donor")
    assert daemon.docker("wait", "joined").stdout == "137\n"
    said = daemon.docker("start", "joined", check=False).stderr
    assert "failed to join PID namespace: container" in said
    daemon.docker("start", "donor")
    daemon.docker("start", "joined")


# Kernel parameters and devices


def test_parameters_of_the_kernel_are_the_containers_own(daemon: Daemon, run: Run) -> None:
    before = Path("/proc/sys/kernel/msgmax").read_text()
    shown = run(
        "--sysctl", "kernel.msgmax=9000", "--sysctl", "net.ipv4.ip_forward=1", daemon.busybox,
        "sh", "-c", "cd /proc/sys; cat kernel/msgmax net/ipv4/ip_forward net/ipv4/ip_unprivileged_port_start",
    )  # fmt: skip
    assert shown.split() == ["9000", "1", "0"]
    assert Path("/proc/sys/kernel/msgmax").read_text() == before


def test_a_parameter_that_the_kernel_does_not_take_is_an_error(daemon: Daemon, run: Run) -> None:
    said = run("--sysctl", "net.ipv4.ip_forward=many", daemon.busybox, "true", check=False)
    assert "write /proc/sys/net/ipv4/ip_forward: invalid argument" in said


@pytest.mark.parametrize("execdriver", ["namespaces", "chroot"])
def test_devices_are_made_where_they_were_asked_for(daemon: Daemon, run: Run, execdriver: str) -> None:
    script = "stat -c '%F %t,%T' /dev/void /opt/nested/zero; head -c 3 /opt/nested/zero | wc -c; echo x > /dev/void"
    shown = run(
        "--runtime", execdriver, "--device", "/dev/null:/dev/void", "--device", "/dev/zero:/opt/nested/zero:r",
        daemon.busybox, "sh", "-c", script,
    )  # fmt: skip
    assert shown.splitlines() == ["character special file 1,3", "character special file 1,5", "3"]


def test_no_device_is_made_in_the_machines_own_dev(daemon: Daemon, run: Run) -> None:
    run("-v", "/dev:/dev", "--device", "/dev/null:/dev/transom-test-void", daemon.busybox, "true")
    assert not Path("/dev/transom-test-void").exists()


def test_a_container_with_a_device_starts_again(daemon: Daemon) -> None:
    daemon.docker("run", "--name", "box", "--device", "/dev/null:/void", daemon.busybox, "test", "-c", "/void")
    assert daemon.docker("start", "-a", "box").returncode == 0


# An init


@pytest.mark.parametrize("execdriver", ["namespaces", "chroot"])
def test_an_init_has_the_programs_exit_code_and_streams(daemon: Daemon, run: Run, execdriver: str) -> None:
    options = ("--init", "--runtime", execdriver)
    assert run(*options, "-i", daemon.busybox, "sh", "-c", "echo out") == "out\n"
    done = daemon.docker("run", "--rm", *options, daemon.busybox, "sh", "-c", "echo err >&2; exit 7", check=False)
    assert (done.stderr, done.returncode) == ("err\n", 7)
    killed = daemon.docker("run", "--rm", *options, daemon.busybox, "sh", "-c", "kill -9 $$", check=False)
    assert killed.returncode == 137


def test_a_program_that_is_not_there_is_said_with_an_init_too(daemon: Daemon) -> None:
    done = daemon.docker("run", "--rm", "--init", daemon.busybox, "nosuch", check=False)
    assert (done.returncode, "executable file not found in $PATH" in done.stderr) == (127, True)


def test_an_init_reaps_what_nobody_waits_for(daemon: Daemon, run: Run) -> None:
    script = "(sleep 0.05 &) ; sleep 0.3; ps -o stat,args | grep -c '^Z' || true"
    assert run("--init", daemon.busybox, "sh", "-c", script) == "0\n"


def test_an_init_passes_signals_on(daemon: Daemon) -> None:
    script = "trap 'exit 42' USR1; echo ready; while :; do sleep 0.05; done"
    daemon.docker("run", "-d", "--name", "box", "--init", daemon.busybox, "sh", "-c", script)
    wait_for_log(daemon, "box", "ready")
    daemon.docker("kill", "-s", "USR1", "box")
    assert daemon.docker("wait", "box").stdout == "42\n"


def test_a_program_that_handles_no_signal_ends_at_once_under_an_init(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "box", "--init", daemon.busybox, "sleep", "1000")
    daemon.docker("stop", "-t", "60", "box")
    assert daemon.docker("wait", "box").stdout == "143\n"


def test_an_init_is_the_first_process_and_cannot_be_looked_into(daemon: Daemon, run: Run) -> None:
    script = (
        "cat /proc/1/comm; readlink /proc/1/exe || echo refused; cut -d' ' -f4 /proc/self/stat; ls /proc/1/fd | wc -l"
    )
    assert run("--init", daemon.busybox, "sh", "-c", script).split()[:2] == ["docker-init", "refused"]


def test_an_init_is_the_user_that_the_program_is(daemon: Daemon, run: Run) -> None:
    shown = run("--init", "-u", "alice", daemon.busybox, "grep", "-E", "Uid|CapEff", "/proc/1/status").split()
    assert shown == ["Uid:", *["1000"] * 4, "CapEff:", "0" * 16]


def test_a_terminal_works_under_an_init(daemon: Daemon) -> None:
    command = f"docker -H {daemon.host} run --rm -it --init {daemon.busybox} sh -c 'read x; echo got $x; exit 5'"
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        input=b"typed\n",
        capture_output=True,
        timeout=60,
        env={**daemon.environment(), "TERM": "xterm"},
    )
    assert b"got typed" in done.stdout
    assert done.returncode == 5


# Mounts


def test_volumes_come_from_another_container(daemon: Daemon, run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("bound\n")
    daemon.docker(
        "run", "--name", "donor", "-v", "pages:/pages", "-v", "/anonymous", "-v", f"{tmp_path}:/bound", daemon.busybox,
        "sh", "-c", "echo named > /pages/file; echo unnamed > /anonymous/file",
    )  # fmt: skip
    show = ("cat", "/pages/file", "/anonymous/file", "/bound/file")
    assert run("--volumes-from", "donor", daemon.busybox, *show).split() == ["named", "unnamed", "bound"]
    script = "for d in /pages /anonymous /bound; do touch $d/x 2>/dev/null || echo refused; done"
    assert run("--volumes-from", "donor:ro", daemon.busybox, "sh", "-c", script).split() == ["refused"] * 3
    # What is not this container's alone stays when it is removed.
    assert len(daemon.docker("volume", "ls", "-q").stdout.split()) == 2


def test_a_part_of_a_volume_can_be_mounted(daemon: Daemon, run: Run) -> None:
    script = "mkdir -p /v/a/b; echo inner > /v/a/b/file; ln -s a/b /v/link; ln -s /etc /v/out"
    run("-v", "pages:/v", daemon.busybox, "sh", "-c", script)
    volume = "type=volume,src=pages,dst=/x,volume-subpath="
    assert run("--mount", f"{volume}a/b", daemon.busybox, "cat", "/x/file") == "inner\n"
    assert run("--mount", f"{volume}a/b/file", daemon.busybox, "cat", "/x") == "inner\n"
    assert run("--mount", f"{volume}link", daemon.busybox, "ls", "/x") == "file\n"
    assert "it leads out of it" in run("--mount", f"{volume}out", daemon.busybox, "ls", "/x", check=False)


def test_an_image_can_be_mounted_and_not_written_to(daemon: Daemon, run: Run) -> None:
    image = f"type=image,src={daemon.busybox},dst=/x"
    assert "passwd" in run("--mount", image, daemon.busybox, "ls", "/x/etc")
    assert "Read-only file system" in run("--mount", image, daemon.busybox, "touch", "/x/file", check=False)
    assert run("--mount", f"{image},image-subpath=etc/passwd", daemon.busybox, "head", "-c4", "/x") == "root"


@pytest.mark.parametrize("graph", [GRAPHDRIVER, "vfs"])
def test_a_mounted_image_is_in_use_as_long_as_a_container_has_it(daemon: Daemon, graph: str) -> None:
    daemon.docker("tag", daemon.busybox, "other:1", check=False)
    daemon.docker(
        "run", "-d", "--name", "box", "--storage-opt", f"driver={graph}",
        "--mount", f"type=image,src={daemon.busybox},dst=/x", daemon.busybox, "sleep", "1000",
    )  # fmt: skip
    (point,) = json.loads(daemon.docker("inspect", "box").stdout)[0]["Mounts"]
    assert (point["Type"], point["Source"], point["Destination"], point["RW"]) == ("image", daemon.busybox, "/x", False)
    daemon.docker("restart", "-t", "0", "box")
    assert daemon.docker("exec", "box", "ls", "/x/etc/passwd").stdout == "/x/etc/passwd\n"
    daemon.docker("rm", "-f", "box")
    assert str(daemon.exec_root / "mounts") not in Path("/proc/self/mountinfo").read_text()


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[Path]:
    """A directory that is a mount, with another mount below it."""
    (tmp_path / "below").mkdir()
    mount(tmp_path, tmp_path, None, MS_BIND)
    mount("none", tmp_path, None, MS_PRIVATE)
    mount("below", tmp_path / "below", "tmpfs", 0)
    yield tmp_path
    umount2(tmp_path, MNT_DETACH)


@pytest.mark.parametrize(
    ("recursive", "seen"),
    [
        ("enabled", "mounted fixed"),
        ("writable", "mounted written"),
        ("readonly", "mounted fixed"),
        ("disabled", "none"),
    ],
)
def test_what_is_below_a_read_only_bind_is_as_it_was_asked_for(
    daemon: Daemon, run: Run, nested: Path, recursive: str, seen: str
) -> None:
    options = f"type=bind,src={nested},dst=/x,readonly,bind-recursive={recursive},bind-propagation=rprivate"
    script = (
        "touch /x/top 2>/dev/null && echo wrong; grep -q ' /x/below ' /proc/mounts || { echo none; exit; };"
        " touch /x/below/file 2>/dev/null && echo mounted written || echo mounted fixed"
    )
    assert run("--mount", options, daemon.busybox, "sh", "-c", script).strip() == seen


def test_mounts_are_shared_only_where_they_can_be(daemon: Daemon, run: Run, nested: Path) -> None:
    refused = run("-v", f"{nested}:/x:rshared", daemon.busybox, "true", check=False)
    assert f"path {nested} is mounted on {nested} but it is not a shared mount" in refused
    refused = run("-v", f"{nested}:/x:rslave", daemon.busybox, "true", check=False)
    assert "it is not a shared or slave mount" in refused
    mount("none", nested, None, MS_SHARED)
    assert run("-v", f"{nested}:/x:rshared", daemon.busybox, "ls", "/x") == "below\n"


def test_inspect_shows_what_was_asked_for(daemon: Daemon) -> None:
    daemon.docker(
        "create", "--name", "box", "--init", "--pid", "host", "--uts", "host", "--sysctl", "net.ipv4.ip_forward=1",
        "--device", "/dev/null:/dev/void:r", "--mount", f"type=image,src={daemon.busybox},dst=/i,image-subpath=etc",
        "--mount", "type=volume,src=pages,dst=/v,volume-subpath=a", daemon.busybox,
    )  # fmt: skip
    host = json.loads(daemon.docker("inspect", "box").stdout)[0]["HostConfig"]
    assert (host["Init"], host["PidMode"], host["UTSMode"]) == (True, "host", "host")
    assert host["Sysctls"] == {"net.ipv4.ip_forward": "1"}
    assert host["Devices"] == [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/void", "CgroupPermissions": "r"}]
    image, volume = host["Mounts"]
    assert image["ImageOptions"] == {"Subpath": "etc"}
    assert volume["VolumeOptions"] == {"Subpath": "a"}


def test_nothing_that_was_mounted_for_a_container_outlives_a_crash(own_daemon: Daemon) -> None:
    daemon = own_daemon
    daemon.docker("run", "--rm", "-v", "pages:/v", daemon.busybox, "mkdir", "/v/part")
    daemon.docker(
        "run", "-d", "--name", "box", "--ipc", "shareable", "--mount", f"type=image,src={daemon.busybox},dst=/i",
        "--mount", "type=volume,src=pages,dst=/v,volume-subpath=part", daemon.busybox, "sleep", "1000",
    )  # fmt: skip
    below = (str(daemon.exec_root / "shims"), str(daemon.exec_root / "mounts"))
    assert len([line for line in mounts() if line.startswith(below)]) == 4
    daemon.kill()
    daemon.start()
    # It was taken over with all that it has.
    daemon.docker("exec", "box", "touch", "/v/file", "/dev/shm/file")
    assert daemon.docker("exec", "box", "ls", "/i/etc/passwd").stdout == "/i/etc/passwd\n"
    (found,) = json.loads(daemon.docker("inspect", "box").stdout)
    daemon.kill()
    os.kill(parent(found["State"]["Pid"]), signal.SIGKILL)
    daemon.start()
    assert json.loads(daemon.docker("inspect", "box").stdout)[0]["State"]["ExitCode"] == 255
    assert [line for line in mounts() if line.startswith(below)] == []
    daemon.docker("start", "box")
    daemon.docker("exec", "box", "ls", "/v/file")


def mounts() -> list[str]:
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
