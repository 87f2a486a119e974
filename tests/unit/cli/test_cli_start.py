"""What a command imports, and the daemon that it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from transom_cli.autostart import start_daemon
from transom_cli.client import DEFAULT_HOST, Client
from transom_cli.errors import Unreachable
from transom_cli.transport import parse_host

#: What costs more than a command may, and what belongs to the engine.
HEAVY = {
    "aiohttp", "asyncio", "ctypes", "email", "http.client", "importlib.metadata", "orjson", "pluggy",
    "hashlib", "requests", "rich", "sqlite3", "ssl", "subprocess", "tomllib", "transom.config", "transom.engine",
    "urllib.request",
}  # fmt: skip
OWN = {"", ".client", ".commands", ".errors", ".flags", ".main", ".transport", ".values"}
LISTING = {".containers", ".references", ".tables", ".times", ".units"}

LISTENER = """
import socket, sys, time
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
open(sys.argv[2], "a").write("started\\n")
listener.listen()
time.sleep(float(sys.argv[3]))
"""


def _imported(*arguments: str) -> set[str]:
    """Return the modules that a command has imported when it ends."""
    program = (
        "import sys; from transom_cli.main import main; main(sys.argv[1:]); sys.stdout.flush();"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return set(found.stderr.split("\n"))


def test_ps_imports_what_it_needs_and_no_more(daemon: Any) -> None:
    daemon.on("GET", "/containers/json", [])
    modules = _imported("-H", daemon.host, "ps")
    assert not HEAVY & modules
    own = {name.removeprefix("transom_cli") for name in modules if name.startswith("transom_cli")}
    assert own == OWN | LISTING


@pytest.mark.parametrize("command", ["ps", "run", "exec", "logs"])
def test_help_of_a_command_imports_nothing_of_the_engine(command: str) -> None:
    assert not HEAVY & _imported(command, "--help")


def test_help_of_all_commands_asks_the_plugins_and_loads_no_command() -> None:
    modules = _imported("--help")
    assert {name for name in modules if name.startswith("transom_cli.")} <= {f"transom_cli{name}" for name in OWN}


def test_the_default_socket_is_the_daemons() -> None:
    from transom.config import Config

    assert Config().hosts == (DEFAULT_HOST,)


def _listener(tmp_path: Path, seconds: float = 5) -> list[str]:
    return [sys.executable, "-c", LISTENER, str(tmp_path / "socket"), str(tmp_path / "starts"), str(seconds)]


def test_a_daemon_is_started_where_none_listens_and_the_command_goes_on(tmp_path: Path) -> None:
    command = _listener(tmp_path)
    client = Client(f"unix://{tmp_path}/socket", lambda address: start_daemon(address, command, tmp_path / "exec"))
    client._connect().close()
    client._connect().close()
    assert (tmp_path / "starts").read_text() == "started\n"


def test_two_commands_at_once_start_one_daemon(tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/socket"
    program = (
        "import sys; from pathlib import Path; from transom_cli.autostart import start_daemon;"
        "from transom_cli.transport import parse_host;"
        "start_daemon(parse_host(sys.argv[1]), sys.argv[3:], Path(sys.argv[2]))"
    )
    arguments = [sys.executable, "-c", program, address, str(tmp_path / "exec"), *_listener(tmp_path)]
    both = [subprocess.Popen(arguments) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert (tmp_path / "starts").read_text() == "started\n"


def test_the_last_words_of_a_daemon_that_cannot_start_are_shown(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such file system\\n')"]
    with pytest.raises(Unreachable, match="the daemon could not be started: no such file system"):
        start_daemon(parse_host(f"unix://{tmp_path}/socket"), command, tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unreachable, match=r"cannot start one: .*/file/daemon\.log"):
        start_daemon(parse_host("unix:///nope"), ["true"], tmp_path / "file")
