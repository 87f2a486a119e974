"""The conformance suite of exec drivers: `ExecDriverSuite`. `transom.drivers.exec` is the contract.

The process that runs the tests is the shim: the parent, or the subreaper, of all that a driver makes. Programs are
those of a statically linked busybox (Debian's package busybox-static), which needs nothing else in a root file system.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from transom.containers.model import Container, ContainerConfig, HostConfig
from transom.containers.namespaces import NAMESPACES
from transom.containers.spec import Surroundings, build_spec
from transom.drivers.exec import Counters, ExecDriver, Spawned, Stdio
from transom.errors import StartFailed, Unsupported
from transom.graph.digest import Digest
from transom.graph.model import RunConfig
from transom.runtime.syscalls.processes import set_child_subreaper
from transom.testing.trees import mounts_below

__all__ = ["ExecDriverSuite", "Sandbox"]

#: Seconds in which what has to happen does; a test that passes never waits for so long.
_PATIENCE = 30.0
#: Below which the containers have their control groups, where there are any.
_CGROUPS, _PARENT = Path("/sys/fs/cgroup"), f"transom-testing-{os.getpid()}"
_APPLETS = ("cat", "echo", "env", "hostname", "id", "kill", "ls", "pwd", "sh", "sleep", "touch", "tty", "true", "wc")


class Sandbox:
    """One container of a driver: its bundle, its state, and what its processes write."""

    def __init__(self, driver_class: type[ExecDriver], directory: Path, rootfs: Path) -> None:
        self.driver_class = driver_class
        self.directory = directory
        self.rootfs = rootfs
        self.id = secrets.token_hex(32)
        self.driver: ExecDriver | None = None
        self.started = False
        self._files: list[int] = []
        directory.mkdir()
        (directory / "bundle").mkdir()
        (directory / "state").mkdir()

    def make(self, *command: str, **process: Any) -> ExecDriver:
        """Write a bundle that runs a command, with these changes to its `process`, and return a driver for it."""
        terminal = bool(process.get("terminal"))
        container = Container(
            self.id,
            "sandbox",
            created=0,
            image=Digest.of(b"no image"),
            config=ContainerConfig("busybox", RunConfig(cmd=command), hostname="sandbox", tty=terminal),
            host=HostConfig(),
            graphdriver="",
            execdriver=self.driver_class.name,
            network="none",
            log_driver="none",
        )
        namespaces = [kind for kind in NAMESPACES if kind in self.driver_class.namespaces]
        around = Surroundings(
            self.rootfs,
            f"/{_PARENT}/{self.id}",
            {},
            private_network="network" in self.driver_class.namespaces,
            namespaces=dict.fromkeys(namespaces, ""),
        )
        spec = build_spec(container, around)
        spec["process"].update(process)
        (self.directory / "bundle" / "config.json").write_text(json.dumps(spec))
        self.driver = self.again()
        return self.driver

    def again(self) -> ExecDriver:
        """Return another driver object for the container."""
        return self.driver_class(self.id, self.directory / "bundle", self.directory / "state")

    def process(self, *command: str) -> dict[str, Any]:
        """Return the `process` of another process like the first one."""
        spec = json.loads((self.directory / "bundle" / "config.json").read_text())
        return {**spec["process"], "args": list(command), "terminal": False}

    def stdio(self, content: bytes = b"") -> Stdio:
        """Return descriptors: some content to be read, and files `stdout` and `stderr` in the directory."""
        (self.directory / "stdin").write_bytes(content)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        opened = [os.open(self.directory / "stdin", os.O_RDONLY | os.O_CLOEXEC)]
        opened += [os.open(self.directory / name, flags, 0o600) for name in ("stdout", "stderr")]
        self._files += opened
        return Stdio(*opened)

    def run(self, *command: str, content: bytes = b"", **process: Any) -> int:
        """Run a command as a container to its end, and return its exit code, 128 and the signal if it was killed."""
        driver = self.make(*command, **process)
        spawned = driver.create(self.stdio(content))
        driver.start()
        return self.wait(spawned.pid)

    def launch(self, *command: str, **process: Any) -> Spawned:
        """Run a command as a container, and return when it has said `ready` on its standard output."""
        driver = self.make(*command, **process)
        spawned = driver.create(self.stdio())
        driver.start()
        self.until(lambda: "ready" in self.output())
        return spawned

    def output(self, stream: str = "stdout") -> str:
        """Return what was written so far."""
        return (self.directory / stream).read_text()

    def wait(self, pid: int) -> int:
        """Wait for a process as the shim does, and return its exit code."""
        self.until(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return code if code >= 0 else 128 - code

    def until(self, condition: Callable[[], object]) -> None:
        """Return when a condition is true. Raises `AssertionError` if that takes too long."""
        end = time.monotonic() + _PATIENCE
        while not condition():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.005)

    def close(self) -> None:
        """Take all of it away, as the engine does when its shim was killed."""
        if self.driver is not None:
            self.driver.kill(signal.SIGKILL)
            self.driver.delete()
        for descriptor in self._files:
            os.close(descriptor)


class ExecDriverSuite:
    """Tests that every exec driver passes. A subclass names the driver. Needs root."""

    driver_class: ClassVar[type[ExecDriver]]
    #: What is in every `process` of the tests beside what they are about.
    process: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture
    def rootfs(self, tmp_path: Path) -> Path:
        """A root file system with busybox."""
        busybox = shutil.which("busybox")
        assert busybox, "the suite of exec drivers needs a static busybox: install busybox-static"
        root = tmp_path / "rootfs"
        (root / "bin").mkdir(parents=True)
        for name in ("dev", "etc", "proc", "sys", "tmp"):
            (root / name).mkdir()
        shutil.copy(busybox, root / "bin" / "busybox")
        for name in _APPLETS:
            (root / "bin" / name).symlink_to("busybox")
        (root / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\nguest:x:1234:1235::/:/bin/sh\n")
        return root

    @pytest.fixture
    def sandbox(self, tmp_path: Path, rootfs: Path, private_mounts: None) -> Iterator[Sandbox]:  # noqa: ARG002
        """A container that is not made yet. At the end no process, no mount and no control group of it is left."""
        self.driver_class.probe(tmp_path)
        set_child_subreaper()
        before = _children()
        sandbox = Sandbox(self.driver_class, tmp_path / "sandbox", rootfs)
        try:
            yield sandbox
            sandbox.close()
        finally:
            _end_children(before)
            set_child_subreaper(on=False)
            left = _remove_groups(sandbox.id)
        assert mounts_below(tmp_path) == []
        assert left == []

    # The life of a container

    def test_a_created_container_waits_for_its_start(self, sandbox: Sandbox) -> None:
        driver = sandbox.make("echo", "started")
        spawned = driver.create(sandbox.stdio())
        assert Path(f"/proc/{spawned.pid}").exists()
        assert sandbox.output() == ""
        driver.start()
        assert sandbox.wait(spawned.pid) == 0
        assert sandbox.output() == "started\n"

    @pytest.mark.parametrize("code", [0, 1, 42, 255])
    def test_the_exit_code_is_the_programs(self, sandbox: Sandbox, code: int) -> None:
        assert sandbox.run("sh", "-c", f"exit {code}") == code

    def test_a_container_that_was_never_started_can_be_deleted(self, sandbox: Sandbox) -> None:
        driver = sandbox.make("echo", "started")
        driver.create(sandbox.stdio())
        driver.delete()
        assert sandbox.output() == ""

    @pytest.mark.parametrize(("program", "code"), [("/bin/no-such-program", 127), ("/etc/passwd", 126), ("/etc", 126)])
    def test_what_cannot_be_executed_is_said_with_a_shells_code(
        self, sandbox: Sandbox, program: str, code: int
    ) -> None:
        driver = sandbox.make(program)
        with pytest.raises(StartFailed, match=program) as failure:
            driver.create(sandbox.stdio())
            driver.start()
        assert failure.value.exit_code == code

    def test_deleting_twice_is_harmless(self, sandbox: Sandbox) -> None:
        assert sandbox.run("true") == 0
        assert sandbox.driver is not None
        sandbox.driver.delete()
        sandbox.driver.delete()

    # The program's surroundings

    def test_standard_streams_are_the_ones_that_were_given(self, sandbox: Sandbox) -> None:
        assert sandbox.run("sh", "-c", "cat; echo complaint >&2", content=b"what was said\n") == 0
        assert (sandbox.output(), sandbox.output("stderr")) == ("what was said\n", "complaint\n")

    def test_it_has_the_environment_the_directory_and_the_user_that_were_asked_for(self, sandbox: Sandbox) -> None:
        user = {"uid": 1234, "gid": 1235, "umask": 0o022, "additionalGids": [7]}
        script = "echo $COLOUR; pwd; id -u; id -g; id -G"
        environment = ["PATH=/bin", "COLOUR=red"]
        assert sandbox.run("sh", "-c", script, env=environment, cwd="/tmp", user=user) == 0
        assert sandbox.output().split("\n")[:4] == ["red", "/tmp", "1234", "1235"]
        assert set(sandbox.output().split("\n")[4].split()) == {"1235", "7"}

    def test_its_root_is_the_bundles(self, sandbox: Sandbox) -> None:
        (sandbox.rootfs / "of-the-image").touch()
        script = f"ls /of-the-image; ls {sandbox.directory}; echo made > /tmp/file; ls /proc/self/status"
        sandbox.run("sh", "-c", script)
        assert sandbox.output() == "/of-the-image\n/proc/self/status\n"
        assert (sandbox.rootfs / "tmp" / "file").read_text() == "made\n"

    def test_what_it_says_to_isolate_is_isolated(self, sandbox: Sandbox) -> None:
        spawned = sandbox.launch("sh", "-c", "hostname; echo $$; echo ready; sleep 1000")
        name, number, _ = sandbox.output().split("\n", 2)
        assert (name == "sandbox") == ("uts" in sandbox.driver_class.namespaces)
        assert (number == "1") == ("pid" in sandbox.driver_class.namespaces)
        links = {"mount": "mnt", "network": "net"}
        for kind in ("mount", "pid", "network", "ipc", "uts", "cgroup"):
            link = links.get(kind, kind)
            ours, theirs = (Path(f"/proc/{pid}/ns/{link}").readlink() for pid in ("self", spawned.pid))
            assert (ours != theirs) == (kind in sandbox.driver_class.namespaces), kind

    def test_a_terminal_is_handed_over(self, sandbox: Sandbox) -> None:
        driver = sandbox.make("sh", "-c", "tty; echo $TERM", terminal=True)
        spawned = driver.create(sandbox.stdio())
        assert spawned.terminal is not None
        driver.start()
        shown = b""
        with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
            while data := os.read(spawned.terminal, 4096):
                shown += data
        os.close(spawned.terminal)
        assert sandbox.wait(spawned.pid) == 0
        assert shown == b"/dev/pts/0\r\nxterm\r\n"

    # More processes

    def test_another_process_is_in_the_container_and_ends_by_itself(self, sandbox: Sandbox) -> None:
        sandbox.launch("sh", "-c", "echo mine > /tmp/file; echo ready; sleep 1000")
        assert sandbox.driver is not None
        more = sandbox.driver.exec(sandbox.process("sh", "-c", "cat /tmp/file; hostname; exit 3"), sandbox.stdio())
        assert sandbox.wait(more.pid) == 3
        assert sandbox.output().split()[:2] == ["ready", "mine"]
        assert (sandbox.output().split()[2] == "sandbox") == ("uts" in sandbox.driver_class.namespaces)

    def test_another_process_that_cannot_be_executed_leaves_the_container_alone(self, sandbox: Sandbox) -> None:
        spawned = sandbox.launch("sh", "-c", "echo ready; sleep 1000")
        assert sandbox.driver is not None
        with pytest.raises(StartFailed, match="no-such-program") as failure:
            sandbox.driver.exec(sandbox.process("no-such-program"), sandbox.stdio())
        assert failure.value.exit_code == 127
        assert Path(f"/proc/{spawned.pid}").exists()

    # Signals and the end

    def test_a_signal_reaches_the_init(self, sandbox: Sandbox) -> None:
        script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done"
        spawned = sandbox.launch("sh", "-c", script)
        assert sandbox.driver is not None
        sandbox.driver.kill(signal.SIGTERM)
        assert sandbox.wait(spawned.pid) == 7
        sandbox.driver.kill(signal.SIGTERM)  # harmless for what has ended

    def test_killing_ends_it_for_sure(self, sandbox: Sandbox) -> None:
        spawned = sandbox.launch("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1000; done")
        assert sandbox.driver is not None
        sandbox.driver.kill(signal.SIGKILL)
        assert sandbox.wait(spawned.pid) == 128 + signal.SIGKILL

    def test_deleting_ends_what_the_program_left_running(self, sandbox: Sandbox) -> None:
        driver = sandbox.make("sh", "-c", "sleep 4321 >/dev/null 2>&1 & echo ready; exit 0")
        spawned = driver.create(sandbox.stdio())
        driver.start()
        assert sandbox.wait(spawned.pid) == 0
        driver.delete()
        assert not _commands("sleep 4321")

    def test_another_object_can_delete_a_container_whose_shim_is_gone(self, sandbox: Sandbox) -> None:
        spawned = sandbox.launch("sh", "-c", "sleep 1234 & echo ready; sleep 1234")
        # What happens to the init of a shim that is killed (PR_SET_PDEATHSIG), or has ended by itself.
        os.kill(spawned.pid, signal.SIGKILL)
        sandbox.wait(spawned.pid)
        sandbox.again().delete()
        sandbox.until(lambda: not _commands("sleep 1234") or not self._counts_processes(sandbox))
        sandbox.again().delete()

    def _counts_processes(self, sandbox: Sandbox) -> bool:
        """Return whether the driver can find processes of a container that it did not make itself."""
        try:
            return bool(sandbox.again().processes())
        except (Unsupported, OSError):
            return False

    # What a driver may leave out

    def test_processes_are_listed_or_that_is_refused(self, sandbox: Sandbox) -> None:
        spawned = sandbox.launch("sh", "-c", "sleep 1000 & echo ready; wait")
        assert sandbox.driver is not None
        try:
            found = sandbox.driver.processes()
        except Unsupported as error:
            assert sandbox.driver.name in str(error)
        else:
            assert spawned.pid in found
            assert len(found) == 2

    def test_use_is_measured_or_that_is_refused(self, sandbox: Sandbox) -> None:
        sandbox.launch("sh", "-c", "echo ready; sleep 1000")
        assert sandbox.driver is not None
        try:
            assert isinstance(sandbox.driver.stats(), Counters)
        except Unsupported as error:
            assert sandbox.driver.name in str(error)

    def test_a_paused_container_stands_still_until_it_is_resumed_or_that_is_refused(self, sandbox: Sandbox) -> None:
        script = "echo ready; while :; do echo more; sleep 0.01; done"
        spawned = sandbox.launch("sh", "-c", script)
        assert sandbox.driver is not None
        try:
            sandbox.driver.pause()
        except Unsupported:
            return
        paused = sandbox.output()
        # As long as one that goes on needs for many lines, however busy the machine is.
        subprocess.run(["sh", "-c", "for line in 1 2 3 4 5 6 7 8 9 10; do sleep 0.01; done"], check=True)
        assert sandbox.output() == paused
        sandbox.driver.resume()
        sandbox.until(lambda: sandbox.output() != paused)
        sandbox.driver.pause()
        sandbox.driver.kill(signal.SIGKILL)
        assert sandbox.wait(spawned.pid) == 128 + signal.SIGKILL


def _end_children(spared: set[int]) -> None:
    """Kill and reap what a driver has left of this process's children: one that is wrong must not stop the tests."""
    while left := _children() - spared:
        for child in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)


def _remove_groups(container: str) -> list[Path]:
    """Remove the control groups of the tests, and return those of a container that a driver has left."""
    hierarchies = [_CGROUPS, *(path for path in _CGROUPS.iterdir() if path.is_dir())]
    left = [group for path in hierarchies if (group := path / _PARENT / container).is_dir()]
    for group in (*left, *(path / _PARENT for path in hierarchies)):
        with contextlib.suppress(FileNotFoundError):
            group.rmdir()
    return left


def _children() -> set[int]:
    """Return the children of this process."""
    return {
        int(child) for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()
    }


def _commands(command: str) -> list[int]:
    """Return the processes of this machine that run a command."""
    wanted = command.replace(" ", "\0").encode() + b"\0"
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(OSError):
                if (process / "cmdline").read_bytes().endswith(wanted):
                    found.append(int(process.name))
    return found
