"""Running containers through both clients, on every pair of drivers: streams, exit codes, isolation."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from testbed.daemon import GRAPHDRIVER, Daemon
from testbed.waiting import wait_for_log

PAIRS = [(graph, execdriver) for graph in (GRAPHDRIVER, "vfs") for execdriver in ("namespaces", "chroot")]


@pytest.fixture(params=PAIRS, ids="-".join)
def drivers(request: pytest.FixtureRequest) -> list[str]:
    graph, execdriver = request.param
    return ["--storage-opt", f"driver={graph}", "--runtime", execdriver]


@pytest.fixture(params=["docker", "transom"])
def client(request: pytest.FixtureRequest, daemon: Daemon) -> object:
    return getattr(daemon, request.param)


def test_streams_stay_apart_and_the_exit_code_is_the_containers(
    client: object, daemon: Daemon, drivers: list[str]
) -> None:
    done = client(  # type: ignore[operator]
        "run", "--rm", *drivers, daemon.busybox, "sh", "-c", "echo out; echo err >&2; exit 7", check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_standard_input_is_piped_byte_for_byte(client: object, daemon: Daemon, drivers: list[str]) -> None:
    data = os.urandom(300_000)
    done = client("run", "--rm", "-i", *drivers, daemon.busybox, "sha256sum", input=data)  # type: ignore[operator]
    expected = subprocess.run(["sha256sum"], input=data, capture_output=True, check=True).stdout.decode()
    assert done.stdout == expected


def test_a_megabyte_of_output_arrives_whole(daemon: Daemon, drivers: list[str]) -> None:
    script = "yes 0123456789abcdef | head -c 3000000"
    done = daemon.docker("run", "--rm", *drivers, daemon.busybox, "sh", "-c", script)
    assert done.stdout == ("0123456789abcdef\n" * 200_000)[:3_000_000]


@pytest.mark.parametrize(
    ("command", "code", "sentence"),
    [
        ("nowhere", 127, 'exec: "nowhere": executable file not found in $PATH'),
        ("/nowhere", 127, 'exec: "/nowhere": stat /nowhere: no such file or directory'),
        ("/etc/passwd", 126, 'exec: "/etc/passwd": permission denied'),
        ("/etc", 126, 'exec: "/etc": is a directory'),
    ],
)
def test_what_cannot_be_executed_has_a_shells_exit_code(
    client: object, daemon: Daemon, command: str, code: int, sentence: str
) -> None:
    done = client("run", "--rm", daemon.busybox, command, check=False)  # type: ignore[operator]
    assert done.returncode == code
    assert sentence in done.stderr
    assert daemon.transom("ps", "-aq").stdout == ""


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--user", "mallory"], 125, "unable to find user mallory: no matching entries in passwd file"),
        (["--runtime", "warp"], 125, "no exec driver is named 'warp'"),
        (["--storage-opt", "driver=warp"], 125, "no graph driver is named 'warp'"),
        (["--network", "warp"], 125, "network warp not found"),
        (["--name", "a/b"], 125, "Invalid container name (a/b)"),
        (["-w", "relative"], 125, "it needs to be an absolute path"),
        (["-w", "/etc/passwd"], 125, "Not a directory"),
        (["--mount", "type=bind,src=/no/such/place,dst=/x"], 125, "bind source path does not exist: /no/such/place"),
        (["-v", "x:y:z"], 125, "invalid"),
        (["--runtime", "chroot", "--network", "none"], 125, "does not isolate the network"),
    ],
)
def test_a_wrong_option_gets_one_sentence_and_leaves_nothing(
    client: object, daemon: Daemon, options: list[str], code: int, sentence: str
) -> None:
    done = client("run", "--rm", *options, daemon.busybox, "true", check=False)  # type: ignore[operator]
    assert done.returncode == code
    assert sentence in done.stderr
    assert daemon.transom("ps", "-aq").stdout == ""


def output(daemon: Daemon, *arguments: str) -> str:
    return daemon.docker("run", "--rm", *arguments).stdout


def test_a_container_sees_only_its_own_processes(daemon: Daemon) -> None:
    assert output(daemon, daemon.busybox, "sh", "-c", "echo $$; ls -d /proc/[0-9]*").split()[:2] == ["1", "/proc/1"]


def test_a_container_has_a_host_name_of_its_own(daemon: Daemon) -> None:
    command = ("sh", "-c", "hostname; cat /etc/hostname; echo $HOSTNAME")
    assert output(daemon, "--hostname", "web", daemon.busybox, *command).split() == ["web"] * 3


def test_the_network_none_has_a_loopback_that_is_up(daemon: Daemon) -> None:
    shown = output(daemon, "--network", "none", daemon.busybox, "ip", "-o", "addr")
    assert {line.split()[1] for line in shown.splitlines()} == {"lo"}
    assert "127.0.0.1/8" in shown


def test_the_network_host_is_the_machines(daemon: Daemon) -> None:
    inside = output(daemon, "--network", "host", daemon.busybox, "readlink", "/proc/self/ns/net").strip()
    assert inside == str(Path("/proc/self/ns/net").readlink())


def test_root_has_dockers_capabilities(daemon: Daemon) -> None:
    shown = output(daemon, daemon.busybox, "grep", "Cap", "/proc/self/status")
    sets = dict(line.split() for line in shown.splitlines())
    assert sets["CapEff:"] == sets["CapPrm:"] == sets["CapBnd:"] == "00000000a80425fb"
    assert sets["CapAmb:"] == sets["CapInh:"] == "0000000000000000"


def test_another_user_has_its_groups_its_home_and_no_capability(daemon: Daemon) -> None:
    shown = output(
        daemon,
        "--user",
        "alice",
        daemon.busybox,
        "sh",
        "-c",
        "id -u; id -g; id -G; echo $HOME; grep CapEff /proc/self/status",
    ).split()
    assert shown == ["1000", "1000", "1000", "100", "/home/alice", "CapEff:", "0000000000000000"]


def test_devices_and_their_links_are_there(daemon: Daemon) -> None:
    script = (
        "for d in null zero full random urandom tty; do test -c /dev/$d || echo no $d; done;"
        "for l in fd stdin stdout stderr ptmx; do test -L /dev/$l || echo no $l; done;"
        "echo x > /dev/null; head -c 4 /dev/zero | wc -c; test -d /dev/shm && test -d /dev/mqueue && echo mounted"
    )
    assert output(daemon, daemon.busybox, "sh", "-c", script).split() == ["4", "mounted"]


@pytest.mark.parametrize("path", ["/proc/kcore", "/proc/keys", "/proc/timer_list"])
def test_masked_paths_are_empty(daemon: Daemon, path: str) -> None:
    assert output(daemon, daemon.busybox, "sh", "-c", f"test -e {path} && head -c 10 {path} | wc -c || echo 0") == "0\n"


@pytest.mark.parametrize("path", ["/proc/sys/kernel/hostname", "/sys/kernel/mm/ksm/run", "/proc/sysrq-trigger"])
def test_the_kernels_settings_cannot_be_written(daemon: Daemon, path: str) -> None:
    done = daemon.docker("run", "--rm", daemon.busybox, "sh", "-c", f"echo x > {path}", check=False)
    assert done.returncode != 0
    assert "Read-only file system" in done.stderr or "nonexistent" in done.stderr


def test_a_read_only_root_is_read_only_but_for_its_mounts(daemon: Daemon) -> None:
    script = "touch /x 2>/dev/null || echo refused; touch /run/x /dev/shm/x && echo written"
    assert output(daemon, "--read-only", "--tmpfs", "/run", daemon.busybox, "sh", "-c", script).split() == [
        "refused",
        "written",
    ]


def test_a_tmpfs_has_its_size_and_mode(daemon: Daemon) -> None:
    shown = output(
        daemon, "--tmpfs", "/t:size=64k,mode=700", daemon.busybox, "sh", "-c", "grep ' /t ' /proc/mounts; stat -c %a /t"
    )
    assert "size=64k" in shown
    assert shown.split()[-1] == "700"


def test_limits_are_set(daemon: Daemon) -> None:
    assert output(
        daemon, "--ulimit", "nofile=64:128", daemon.busybox, "sh", "-c", "ulimit -Sn; ulimit -Hn"
    ).split() == [
        "64",
        "128",
    ]


def test_environment_entrypoint_and_directory_are_as_asked(daemon: Daemon) -> None:
    shown = output(
        daemon, "-e", "A=1", "-e", "FROM_IMAGE=no", "-w", "/made/here", "--entrypoint", "sh", daemon.busybox, "-c",
        "echo $A $FROM_IMAGE; pwd",
    ).split()  # fmt: skip
    assert shown == ["1", "no", "/made/here"]


def test_a_terminal_is_a_terminal(daemon: Daemon) -> None:
    done = subprocess.run(
        [
            "script",
            "-qec",
            f"docker -H {daemon.host} run --rm -it {daemon.busybox} sh -c 'tty; stty size; exit 5'",
            "/dev/null",
        ],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        env={**daemon.environment(), "TERM": "xterm"},
    )
    assert b"/dev/pts/0" in done.stdout
    assert done.returncode == 5


def test_a_script_cannot_have_a_terminal_without_one(client: object, daemon: Daemon) -> None:
    done = client("run", "--rm", "-it", daemon.busybox, "true", input="", check=False)  # type: ignore[operator]
    assert done.returncode == 1
    assert "the input device is not a TTY" in done.stderr


def test_signals_reach_the_container(daemon: Daemon) -> None:
    script = "trap 'exit 42' USR1; echo ready; while :; do sleep 0.05; done"
    daemon.docker("run", "-d", "--name", "trap", daemon.busybox, "sh", "-c", script)
    wait_for_log(daemon, "trap", "ready")
    daemon.docker("kill", "-s", "USR1", "trap")
    assert daemon.docker("wait", "trap").stdout == "42\n"
    daemon.docker("rm", "trap")


def test_a_missing_image_is_pulled(client: object, daemon: Daemon) -> None:
    daemon.transom("rmi", "-f", daemon.busybox)
    done = client("run", "--rm", daemon.busybox, "echo", "hi")  # type: ignore[operator]
    assert done.stdout == "hi\n"
    assert f"Unable to find image '{daemon.busybox}' locally" in done.stderr


def test_an_oci_bundle_is_what_the_specification_says(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "bundle", daemon.busybox, "sleep", "100")
    identity = daemon.docker("inspect", "-f", "{{.Id}}", "bundle").stdout.strip()
    config = json.loads((daemon.exec_root / "shims" / identity / "config.json").read_text())
    assert config["ociVersion"].startswith("1.")
    assert Path(config["root"]["path"]).is_absolute()
    daemon.docker("rm", "-f", "bundle")


@pytest.mark.parametrize("execdriver", ["namespaces", "chroot"])
@pytest.mark.parametrize("number", range(3, 24))
def test_a_working_directory_leads_nowhere_through_a_descriptor(daemon: Daemon, execdriver: str, number: int) -> None:
    done = daemon.docker(
        "run", "--rm", "--runtime", execdriver, "-w", f"/proc/self/fd/{number}", daemon.busybox, "ls", "..", check=False
    )
    assert done.returncode != 0
    assert done.stdout == ""
