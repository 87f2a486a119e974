"""Completion in real shells: what is typed, and the line that Tab makes of it."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from testbed.clients import TRANSOM
from testbed.daemon import Daemon

LINES = {
    "transom sto": "transom stop ",
    "transom volume inspect c": "transom volume inspect complete-me ",
    "transom rm -f t": "transom rm -f two-words ",
    "transom run -it --rm 127.0.0.1:": "transom run -it --rm $IMAGE ",
    "transom ps -f st": "transom ps -f status=",
    "transom ps --filter status=ru": "transom ps --filter status=running ",
    "transom run --pull=al": "transom run --pull=always ",
    "transom run -v comp": "transom run -v complete-me:",
    "transom exec t": "transom exec two-words ",
    "transom run --env-file /etc/hostna": "transom run --env-file /etc/hostname ",
}


@pytest.fixture(scope="module")
def environment(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a shell whose `transom` asks a daemon that has a container and a volume."""
    daemon.transom("run", "-d", "--name", "two-words", "-v", "complete-me:/x", daemon.busybox, "sleep", "1000")
    home = str(tmp_path_factory.mktemp("home"))
    path = f"{TRANSOM.parent}:{os.environ['PATH']}"
    yield {"PATH": path, "DOCKER_HOST": daemon.host, "HOME": home, "ZDOTDIR": home, "TERM": "dumb", "LANG": "C.UTF-8"}
    daemon.transom("rm", "-f", "two-words")
    daemon.transom("volume", "rm", "complete-me")


@pytest.mark.parametrize(
    ("shell", "setup"),
    [
        ("bash --norc --noprofile -i", "source <(transom completion bash)"),
        ("zsh -f -i", "autoload -Uz compinit; compinit -u; source <(transom completion zsh)"),
    ],
)
def test_tab_completes(
    daemon: Daemon, environment: dict[str, str], play: Callable[..., Any], shell: str, setup: str
) -> None:
    lines = {typed: line.replace("$IMAGE", daemon.busybox) for typed, line in LINES.items()}
    # The prompt is not what is typed, which is shown as well.
    keys = [("# ", f"{setup}; PS1='ne''xt>'\n")]
    awaited = "next>"
    for typed, line in lines.items():
        keys.append((awaited, f"\x15{typed}\t"))
        awaited = line
    keys.append((awaited, "\x15exit\n"))
    words = [f"{name}={value}" for name, value in environment.items()]
    shown = play(["/usr/bin/env", "-i", *words, *shell.split()], keys).stdout
    assert [line for line in lines.values() if line not in shown] == []


@pytest.mark.parametrize("typed", LINES)
def test_fish_completes(daemon: Daemon, environment: dict[str, str], typed: str) -> None:
    script = f"transom completion fish | source; complete -C {shlex.quote(typed)}"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    expected = LINES[typed].replace("$IMAGE", daemon.busybox).rstrip(" ")
    [found] = [candidate.partition("\t")[0] for candidate in done.stdout.splitlines()]
    assert found == expected.rpartition(" ")[2]
