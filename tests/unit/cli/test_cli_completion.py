"""What completion offers, given a command line up to its last word."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transom_cli.commands import COMMANDS, GROUPS, other_names
from transom_cli.completion_words import ARGUMENTS, FILES, FILTERS, VALUES, WORDS
from transom_cli.flags import ApiCommand, Flag
from transom_cli.main import main, root


@pytest.fixture
def offered(
    daemon: Any, transom: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[list[str], str]]:
    """The words that are offered behind others, and the directive."""
    containers = [
        {"Id": "abc" * 20, "Names": ["/web", "/other/link"], "Image": "busybox", "Status": "Up", "State": "running"},
        {"Id": "def" * 20, "Names": ["/old"], "Image": "busybox", "Status": "Exited", "State": "exited"},
    ]

    def listed(request: Any) -> None:
        states = [state for state in ("running", "exited", "paused") if state in request.target]
        request.answer([one for one in containers if not states or one["State"] in states])

    daemon.on("GET", "/containers/json", listed)
    daemon.on("GET", "/images/json", [{"RepoTags": ["busybox:latest", "<none>:<none>"]}, {"RepoTags": None}])
    daemon.on("GET", "/volumes", {"Volumes": [{"Name": "data", "Driver": "local"}]})
    daemon.on("GET", "/networks", [{"Name": "none", "Driver": "null"}])
    daemon.on("GET", "/drivers", [{"Name": "overlay", "Kind": "graph"}, {"Name": "chroot", "Kind": "exec"}])

    def ask(*words: str) -> tuple[list[str], str]:
        capsys.readouterr()
        assert transom("__complete", *words) == 0
        *lines, directive = capsys.readouterr().out.splitlines()
        return [line.partition("\t")[0] for line in lines], directive

    return ask


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["sto"], ["stop"]),
        (["volume", "in"], ["inspect"]),
        (["help", ""], []),
        (["ps", "--no"], ["--no-trunc"]),
        (["ps", "-a", "--al"], []),
        (["run", "-e", "A=b", "--env"], ["--env", "--env-file"]),
        (["ps", "-"], ["-a", "-f", "-n", "-l", "-q", "-s"]),
        (["start", ""], ["old"]),
        (["stop", ""], ["web"]),
        (["container", "rm", "-f", ""], ["web", "old"]),
        (["rm", "web", ""], ["old"]),
        (["logs", "web", ""], []),
        (["rm", "ab"], ["abcabcabcabc"]),
        (["exec", "-it", ""], ["web"]),
        (["exec", "web", ""], []),
        (["run", "--rm", "-it", "b"], ["busybox:latest"]),
        (["run", "busybox", "-"], []),
        (["run", "--", "b"], ["busybox:latest"]),
        (["run", "--network", ""], ["none", "container:"]),
        (["run", "--network", "container:"], ["container:web"]),
        (["run", "--network=n"], ["--network=none"]),
        (["run", "-it", "--graphdriver", ""], ["overlay"]),
        (["run", "--execdriver", ""], ["chroot"]),
        (["run", "--pull", "m"], ["missing"]),
        (["run", "-v", "d"], ["data:"]),
        (["run", "-vd"], []),
        (["kill", "-s", "SIGU"], ["SIGURG", "SIGUSR1", "SIGUSR2"]),
        (["ps", "-f", "st"], ["status="]),
        (["ps", "-f", "status=r"], ["status=removing", "status=restarting", "status=running"]),
        (["ps", "--filter=name=w"], ["--filter=name=web"]),
        (["inspect", ""], ["web", "old", "busybox:latest", "data", "none"]),
        (["volume", "rm", ""], ["data"]),
        (["network", "inspect", "n"], ["none"]),
        (["driver", "inspect", "o"], ["overlay"]),
        (["driver", "compare", "--workload", "s"], ["sequential", "sharing", "small-files", "sqlite", "start"]),
        (["driver", "compare", "overlay", "--image", "b"], ["busybox:latest"]),
        (["image", "layers", "b"], ["busybox:latest"]),
        (["image", "layers", "--f"], ["--fail-under"]),
        (["completion", ""], ["bash", "fish", "zsh"]),
        (["-l", "d"], ["debug"]),
        (["-D", "--log-level", "debug", "kil"], ["kill"]),
        (["bogus", ""], []),
        (["rm", "--bogus", "w"], ["web"]),
    ],
)
def test_words_are_offered(offered: Callable[..., tuple[list[str], str]], words: list[str], found: list[str]) -> None:
    shown = [word for word in offered(*words)[0] if (word != "--help" and not word.startswith("--")) or word in found]
    assert shown == found


@pytest.mark.parametrize(
    ("words", "directive"),
    [
        (["run", "--env-file", ""], ":0"),
        (["run", "-v", "/"], ":2"),
        (["run", "-v", ""], ":2"),
        (["ps", "-f", ""], ":6"),
        (["run", "--ulimit", ""], ":6"),
        (["rm", ""], ":4"),
    ],
)
def test_a_shell_is_told_about_spaces_and_files(
    offered: Callable[..., tuple[list[str], str]], words: list[str], directive: str
) -> None:
    assert offered(*words)[1] == directive


def test_the_daemon_of_the_command_line_is_asked_and_none_is_started(
    daemon: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr("transom_cli.main._start_daemon", lambda _address: pytest.fail("a daemon was started"))
    daemon.on("GET", "/networks", [{"Name": "none", "Driver": "null"}])
    assert main(["__complete", "-H", daemon.host, "network", "inspect", ""]) == 0
    assert main(["__complete", "-H", f"unix://{tmp_path}/nobody", "network", "inspect", ""]) == 0
    assert main(["__complete", "-H"]) == 0
    assert capsys.readouterr().out == "none\tnull\n:4\n:4\n-H\tDaemon socket to connect to (also DOCKER_HOST)\n:4\n"


def _commands() -> dict[str, ApiCommand]:
    """All commands by their grouped names."""
    context = root.make_context("transom", ["ps"])
    found = {}
    for path in [*COMMANDS, *(f"{group} {name}" for group, names in GROUPS.items() for name in names)]:
        group, _, name = path.rpartition(" ")
        command = (root.get_command(context, group) if group else root).get_command(context, name)  # type: ignore
        if isinstance(command, ApiCommand):
            found[other_names(path)[0]] = command
    return found


def test_every_command_that_takes_a_name_says_of_what() -> None:
    free = {
        "__complete", "container prune", "image load", "image pull", "login", "logout", "network create", "search",
        "volume create",
    }  # fmt: skip
    taking = {path for path, command in _commands().items() if command.most != 0}
    assert taking - set(ARGUMENTS) - free == set()


def test_every_flag_that_is_spoken_of_exists() -> None:
    flags = {
        flag.long for command in [root, *_commands().values()] for flag in command.params if isinstance(flag, Flag)
    }
    spoken = {name.rpartition(" ")[2] for name in (*VALUES, *FILES)}
    assert spoken - flags - NOT_YET == set()
    kinds = {*VALUES.values(), *(kind for filters in FILTERS.values() for kind in filters.values() if kind)}
    from transom_cli.candidates import _NAMES

    assert kinds - set(WORDS) - set(_NAMES) == set()


#: Flags of Docker that are known to completion before there is a command that has them.
NOT_YET = {
    "--cap-add", "--cap-drop", "--cgroupns", "--device", "--input", "--ipc", "--link", "--output", "--pid", "--userns",
    "--uts", "--volumes-from",
}  # fmt: skip


def test_completion_of_a_built_in_command_loads_no_plugin() -> None:
    program = (
        "import sys; from transom_cli.main import main; main(['__complete', 'sto']);"
        "sys.exit('pluggy' in sys.modules or 'transom.catalog' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "stop\tStop one or more running containers\n:4\n")
