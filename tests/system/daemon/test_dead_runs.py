"""What a killed run of the tests leaves is ended by the next one, and what a living run has is not touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from testbed.host import end_dead_runs
from testbed.loop import loop_devices
from testbed.waiting import wait_for

TESTS = Path(__file__).parents[2]
RUN = """
import sys
from pathlib import Path
from testbed.host import CGROUP_PARENT, become_private
become_private()
from testbed.daemon import Daemon
from testbed.loop import file_system
from testbed.registry import Registry
with Registry(Path(sys.argv[1])) as registry, file_system("ext4", Path(sys.argv[2])) as root, Daemon(root) as daemon:
    registry.push_busybox()
    daemon.transom("run", "-d", "--name", "paused", "--restart", "always", registry.busybox, "sleep", "1000")
    daemon.transom("pause", "paused")
    print(CGROUP_PARENT, daemon.transom("inspect", "-f", "{{.State.Pid}}", "paused").stdout, flush=True)
    input()
"""


def test_only_what_dead_runs_left_is_ended(tmp_path: Path) -> None:
    for name in ("registry", "daemon"):
        (tmp_path / name).mkdir()
    command = [sys.executable, "-c", RUN, str(tmp_path / "registry"), str(tmp_path / "daemon")]
    with subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        group, init = run.stdout.readline().split()
        end_dead_runs()
        assert _runs(init)
        assert len(_commands(tmp_path)) > 2
        assert len(loop_devices(tmp_path)) == 1
        run.kill()
        wait_for(lambda: not _runs(str(run.pid)))
        # It is a zombie: nobody has reaped it yet.
        assert _runs(init)
        end_dead_runs()
    assert not _runs(init)
    assert _commands(tmp_path) == []
    # It goes with the last mount of it, for which nobody waits.
    wait_for(lambda: loop_devices(tmp_path) == [])
    assert [*Path("/sys/fs/cgroup").glob(group), *Path("/sys/fs/cgroup").glob(f"*/{group}")] == []


def _runs(process: str) -> bool:
    """Return whether a process is there and is more than a zombie that nobody has reaped yet."""
    return bool(_command(Path("/proc", process)))


def _commands(directory: Path) -> list[str]:
    """Return the command lines that name a directory."""
    return [command for path in Path("/proc").iterdir() if str(directory) in (command := _command(path))]


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
