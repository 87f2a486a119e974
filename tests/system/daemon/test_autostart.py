"""The command starts a daemon by itself if nothing listens on the default socket."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from testbed.bare import on_a_bare_machine

_PROGRAMS = Path(sys.executable).parent


def test_the_first_command_starts_a_daemon_and_the_next_finds_it() -> None:
    first, second = "transom ps && cp /run/transom/daemon.pid /run/first", "transom ps -q"
    done = on_a_bare_machine(f"{first} && {second} && cmp /run/transom/daemon.pid /run/first", _PROGRAMS)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("CONTAINER ID")


def test_two_commands_at_once_start_one_daemon() -> None:
    script = "transom info >/run/a & transom info >/run/b; wait; grep -h '^ ID' /run/a /run/b"
    done = on_a_bare_machine(script, _PROGRAMS)
    first, second = done.stdout.splitlines()
    assert first == second


def test_nothing_is_started_for_an_address_that_was_given(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(_PROGRAMS / "transom"), "-H", f"unix://{tmp_path}/nobody.sock", "ps"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "Cannot connect to the Transom daemon" in done.stderr


def test_an_idle_daemon_ends_by_itself() -> None:
    daemon = "transom daemon --idle-exit 5 2>/dev/null &"
    listening = "until test -S /run/transom.sock; do sleep 0.1; done"
    # With an address no other daemon is started, whatever becomes of this one.
    asked = "transom -H unix:///run/transom.sock ps"
    ended = "while test -e /run/transom/daemon.pid; do sleep 0.1; done"
    done = on_a_bare_machine(f"{daemon} {listening}; {asked}; {ended}", _PROGRAMS)
    assert "CONTAINER ID" in done.stdout
