"""Containers on a terminal: its size, its keys, and how one leaves without ending them."""

from __future__ import annotations

import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Terminal = Callable[..., Any]
PROMPT = "# "
DETACH = "\x10\x11"


@pytest.fixture
def shell(peer: Any) -> Any:
    """A running container whose shell is on a terminal; its name."""
    name = "clitest-shell"
    peer.docker("run", "-dit", "--name", name, "busybox", "sh")
    yield name
    peer.docker("rm", "-f", name)


def test_a_shell_has_a_terminal_of_our_size_and_its_exit_code_is_ours(terminal: Terminal) -> None:
    found = terminal(["run", "--rm", "-it", "busybox", "sh"], [(PROMPT, "stty size; exit 4\n")])
    assert "\r\n30 100\r\n" in found.stdout
    assert found.status == 4


@pytest.mark.parametrize("command", [["attach"], ["exec", "-it"]])
def test_a_window_that_changes_changes_the_containers(terminal: Terminal, shell: str, command: list[str]) -> None:
    program = ["sh"] if command[0] == "exec" else []
    script = "while [ \"$(stty size)\" != '50 120' ]; do sleep 0.1; done; echo seen; exit 9\n"
    found = terminal([*command, shell, *program], [("", "\n"), (PROMPT, script), ("exit 9", (50, 120))])
    assert "seen\r\n" in found.stdout
    assert found.status == 9


def test_the_detach_keys_leave_a_container_running(peer: Any, terminal: Terminal) -> None:
    name = "clitest-detached"
    keys = [(PROMPT, "echo a$((1+1))\n"), ("a2", DETACH)]
    assert terminal(["run", "-it", "--name", name, "busybox", "sh"], keys).status == 0
    assert peer.docker("inspect", "-f", "{{.State.Running}}", name) == "true"
    peer.docker("rm", "-f", name)


def test_attach_ends_at_its_own_detach_keys(peer: Any, terminal: Terminal, shell: str) -> None:
    found = terminal(["attach", "--detach-keys", "x,y", shell], [("", "\n"), (PROMPT, "xy")])
    assert found.stdout.endswith("read escape sequence\r\n")
    assert found.status == 1
    assert peer.docker("inspect", "-f", "{{.State.Running}}", shell) == "true"


def test_a_stopped_shell_can_be_started_with_its_terminal(peer: Any, terminal: Terminal, shell: str) -> None:
    peer.docker("kill", shell)
    assert terminal(["start", "-ai", shell], [(PROMPT, "exit 6\n")]).status == 6


def test_control_c_reaches_a_container_without_a_terminal(terminal: Terminal) -> None:
    script = "trap 'echo got; exit 5' INT; echo ready; while :; do sleep 0.1; done"
    found = terminal(["run", "--rm", "busybox", "sh", "-c", script], [("ready", "\x03")])
    assert "got\r\n" in found.stdout
    assert found.status == 5


def test_the_terminal_is_as_it_was_after_a_container(peer: Any, shell_on_a_terminal: Terminal) -> None:
    command = shlex.join(peer.transom("run", "--rm", "-it", "busybox", "true"))
    found = shell_on_a_terminal(f'before=$(stty -g); {command}; [ "$before" = "$(stty -g)" ] && echo same')
    assert "same" in found.stdout


@pytest.mark.parametrize("name", ["TERM", "USR1", "HUP"])
def test_signals_are_passed_on(peer: Any, name: str) -> None:
    script = f"trap 'exit 42' {name}; echo ready; while :; do sleep 0.1; done"
    command = peer.transom("run", "--rm", "busybox", "sh", "-c", script)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(getattr(signal, f"SIG{name}"))
        assert process.wait(60) == 42


def test_a_log_is_followed_as_it_is_written(peer: Any) -> None:
    name = "clitest-follow"
    peer.docker("run", "-d", "--name", name, "busybox", "sh", "-c", "echo one; sleep 1; echo two")
    command = peer.transom("logs", "-f", name)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"one\n"
        assert process.stdout.read() == b"two\n"
    peer.docker("rm", name)


def test_a_copy_says_on_a_terminal_how_far_it_is_and_where_it_went(
    terminal: Terminal, ended: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("content")
    found = terminal(["cp", f"{tmp_path}/file", f"{ended}:/tmp/file"])
    assert "Copying to container - 0B" in found.stdout
    assert found.stdout.endswith(f"Successfully copied 2.05kB to {ended}:/tmp/file\r\n")
    found = terminal(["cp", f"{ended}:/tmp/file", str(tmp_path / "back")])
    assert "Copying from container - 0B" in found.stdout
    assert found.stdout.endswith(f"Successfully copied 2.05kB to {tmp_path}/back\r\n")
    assert terminal(["cp", "-q", f"{tmp_path}/file", f"{ended}:/tmp/file"]).stdout == ""


def test_an_export_does_not_write_to_a_terminal(terminal: Terminal, ended: str) -> None:
    found = terminal(["export", ended])
    assert found.stdout == "cowardly refusing to save to a terminal. Use the -o flag or redirect\r\n"
    assert found.status == 1
