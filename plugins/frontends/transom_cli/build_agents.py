"""The SSH agents that a build may use (`--ssh`): those that run, and others that have keys of files for its length."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from transom_cli.errors import CommandFailed

__all__ = ["AgentSource", "opened_agents", "parse_agents"]

#: Bytes of a key, as many as BuildKit reads.
_LONGEST_KEY = 100 * 1024
#: What the agent runs, and lives as long as: it tells where that is, and waits for the end of its input.
_COMMAND = ("sh", "-c", 'echo "$SSH_AGENT_PID $SSH_AUTH_SOCK" && exec cat')

#: The socket of an agent, or private keys with the names of their files.
AgentSource = str | Mapping[str, bytes]


def parse_agents(given: Iterable[str]) -> dict[str, AgentSource]:
    """Return what is behind each `--ssh`: `default`, `ID=SOCKET` or `ID=KEY[,KEY…]`. Raises `CommandFailed`."""
    agents = {}
    for text in given:
        name, _, places = text.partition("=")
        paths = (places or os.environ.get("SSH_AUTH_SOCK", "")).split(",")
        if paths == [""]:
            raise CommandFailed("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set")
        agents[name or "default"] = _source(paths)
    return agents


def _source(paths: list[str]) -> AgentSource:
    sockets = [path for path in paths if _is_socket(path)]
    if not sockets:
        return {path: _read_key(path) for path in paths}
    if len(sockets) < len(paths):
        raise CommandFailed("invalid combination of keys and sockets: name one socket, or files of keys")
    if len(sockets) > 1:
        raise CommandFailed("only single socket allowed: give each of them an ID of its own")
    return sockets[0]


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(Path(path).stat().st_mode)
    except OSError as error:
        raise CommandFailed(f"failed to stat {path}: {(error.strerror or str(error)).lower()}") from error


def _read_key(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_LONGEST_KEY)
    except OSError as error:
        raise CommandFailed(f"failed to open {path}: {(error.strerror or str(error)).lower()}") from error


@contextmanager
def opened_agents(sources: Mapping[str, AgentSource]) -> Iterator[dict[str, str]]:
    """Give the sockets of agents, after starting those that hold keys of files, for the length of a `with` block.

    Raises `CommandFailed`.
    """
    with ExitStack() as stack:
        yield {
            name: source if isinstance(source, str) else stack.enter_context(_agent(source))
            for name, source in sources.items()
        }


@contextmanager
def _agent(keys: Mapping[str, bytes]) -> Iterator[str]:
    """Give the socket of an agent with keys. It ends with the block, and when this process does."""
    import signal  # few builds have one
    import subprocess

    try:
        waiting = subprocess.Popen(
            ["ssh-agent", *_COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
    except OSError as error:
        raise _missing("ssh-agent", error) from error
    assert waiting.stdin is not None and waiting.stdout is not None
    with waiting:
        pid, _, path = os.fsdecode(waiting.stdout.readline()).rstrip("\n").partition(" ")
        if not path:
            waiting.stdin.close()
            raise CommandFailed(f"ssh-agent could not be started: it ended with {waiting.wait()}")
        try:
            for name, key in keys.items():
                _add_key(path, name, key)
            yield path
        finally:
            # Nobody has waited for it yet, so the number is still its own.
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
            waiting.stdin.close()


def _add_key(agent: str, name: str, key: bytes) -> None:
    """Add a key to an agent; a passphrase is asked for at the terminal."""
    import subprocess

    # On standard input, so that the mode of the file does not matter.
    environment = {**os.environ, "SSH_AUTH_SOCK": agent}
    try:
        done = subprocess.run(["ssh-add", "-q", "-"], input=key, env=environment, capture_output=True, check=False)
    except OSError as error:
        raise _missing("ssh-add", error) from error
    if done.returncode:
        *_, reason = f"ssh-add ended with {done.returncode}", *os.fsdecode(done.stderr).strip().splitlines()
        if reason.startswith("Enter passphrase"):
            reason = "this private key is passphrase protected, and there is no terminal to ask at"
        raise CommandFailed(f"failed to parse {name}: {reason}")


def _missing(program: str, error: OSError) -> CommandFailed:
    reason = (error.strerror or str(error)).lower()
    return CommandFailed(f"{program}: {reason}: --ssh with files of keys needs OpenSSH's client programs")
