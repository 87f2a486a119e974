"""Writes docs/docker-commands.md: what Docker's client and API have, and which of it is here.

Docker's commands and flags are those that its client names (version 28), its endpoints those of the API's description.
Ours are read from the command line and from the router. `make compatibility` runs this; a test fails if the page is
old.
"""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from testbed.description import DESCRIPTION, Operation, described_path, find, operations
from transom_api.builds import LIMITS
from transom_api.routes import REFUSED as REFUSED_ROUTES
from transom_api.routes import ROUTES
from transom_api.sessions import post_session
from transom_api.unsupported import CONTAINER_FIELDS, HOST_FIELDS, NETWORK_FIELDS, UPDATE_FIELDS
from transom_cli.commands import COMMANDS, GROUPS
from transom_cli.flags import Flag
from transom_cli.main import LazyGroup, root

__all__ = ["PAGE", "Command", "docker_commands", "missing_parameters", "page"]

Handler = Callable[..., Any]

PAGE = Path(__file__).parents[1] / "docs/docker-commands.md"
_FLAG = re.compile(r"^ +(?:-\w, )?(--(?!help\b)[\w-]+)")
_COMMAND = re.compile(r"^  ([\w-]+)\*? +\S")

#: Flags that are known, to be refused with the reason, by their command.
REFUSED = {
    "container exec": {"--privileged"},
    "container rm": {"--link"},
    "image ls": {"--tree"},
}
#: Groups that are absent as a whole, and why.
ABSENT = {
    "buildx": "`build` has what its `build` has",
    "checkpoint": "an experiment of Docker's",
    "compose": "Docker Compose is a client of its own, and works on our socket",
    "config": "swarm",
    "context": "there is one daemon, or the one that `--host` names",
    "manifest": "an experiment of Docker's",
    "node": "swarm",
    "plugin": "drivers are Python packages: `transom driver ls`",
    "secret": "swarm",
    "service": "swarm",
    "stack": "swarm",
    "swarm": "swarm",
    "trust": "signatures are not looked at",
}
#: What an endpoint's body may not ask for.
UNSUPPORTED_FIELDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("POST", "/containers/create"): (*CONTAINER_FIELDS, *HOST_FIELDS),
    ("POST", "/build"): (*LIMITS, "squash"),
    ("POST", "/containers/{id}/update"): tuple(UPDATE_FIELDS),
    ("POST", "/networks/create"): tuple(NETWORK_FIELDS),
    ("POST", "/volumes/create"): ("ClusterVolumeSpec",),
}
_SWARM = ("/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs")


class Command(NamedTuple):
    """A command of Docker's: all its names, the grouped one first, and its flags."""

    names: tuple[str, ...]
    flags: tuple[str, ...]


def docker_commands() -> list[Command]:
    """Return all commands that the stock client names in its help. The client is `docker` of the path."""
    docker = shutil.which("docker")
    if docker is None:
        raise FileNotFoundError("the stock client docker is not installed")
    found: dict[str, Command] = {}
    for command in _walk(docker, []):
        found.setdefault(command.names[0], command)
    return [found[name] for name in sorted(found)]


def _walk(docker: str, path: list[str]) -> Iterator[Command]:
    # Plugins of the client are other programs, which a machine may have or not.
    text = subprocess.run([docker, *path, "--help"], capture_output=True, text=True, check=True).stdout
    names = _section(text, r"[\w ]*Commands", _COMMAND)
    if names and path[:1] not in (["compose"], ["buildx"]):
        for name in names:
            if name not in ("compose", "buildx"):
                yield from _walk(docker, [*path, name])
        return
    aliases = re.search(r"^Aliases:\n  (.+)$", text, re.MULTILINE)
    listed = aliases[1].split(", ") if aliases else [f"docker {' '.join(path)}"]
    yield Command(
        tuple(alias.removeprefix("docker ") for alias in listed), tuple(_section(text, "(?:Global )?Options", _FLAG))
    )


def _section(text: str, heading: str, line: re.Pattern[str]) -> list[str]:
    """Return what `line` finds in the sections of a heading."""
    found = []
    for block in re.split(r"\n\n", text):
        head, _, body = block.partition("\n")
        if re.fullmatch(f"{heading}:", head):
            found += [match[1] for each in body.splitlines() if (match := line.match(each))]
    return found


def own_flags() -> dict[str, set[str]]:
    """Return the flags of our commands, by each name."""
    context = root.make_context("transom", ["ps"])
    found = {}
    for path in [*COMMANDS, *(f"{group} {name}" for group, names in GROUPS.items() for name in names)]:
        group, _, name = path.rpartition(" ")
        outer = root.get_command(context, group) if group else root
        command = outer.get_command(context, name) if isinstance(outer, click.Group) else None
        if command is not None and not isinstance(command, LazyGroup) and not name.startswith("__"):
            found[path] = {name for flag in command.params if isinstance(flag, Flag) for name in flag.opts}
    return found


def page(commands: list[Command]) -> str:
    """Return the page, given Docker's commands."""
    parts = [
        "# Docker's commands and endpoints, and which are here",
        "Made by `make compatibility` from the help of Docker's client 28, the description of its API 1.50 and the\n"
        "code. What differs in what is here is in [docker-compatibility.md](docker-compatibility.md).",
        "## Commands",
        "The flags are those that are missing. Every command has its short name too, and `--help`.",
        _table(["command", "here", "without", "besides Docker's"], list(_command_rows(commands))),
        "## Endpoints",
        "Without these parameters of the query, and these fields of the body.",
        _table(["endpoint", "here", "without"], list(_endpoint_rows())),
    ]
    return "\n\n".join(parts) + "\n"


def _table(headings: list[str], rows: list[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _command_rows(commands: list[Command]) -> Iterator[list[str]]:
    own = own_flags()
    listed: set[str] = set()
    for command in commands:
        group = command.names[0].split()[0]
        ours = next((name for name in command.names if name in own), None)
        if ours is None and group in ABSENT:
            continue
        if ours is None:
            yield [_code(command.names[0]), "no", "", ""]
            continue
        listed.update(command.names)
        missing = [flag for flag in command.flags if flag not in own[ours] or flag in _refused(command)]
        more = sorted(flag for flag in own[ours] - set(command.flags) if flag.startswith("--"))
        yield [
            _code(command.names[0]),
            "partly" if missing else "yes",
            " ".join(map(_code, missing)),
            " ".join(map(_code, more)),
        ]
    for group in sorted(ABSENT):
        yield [f"`{group} …`", "no", ABSENT[group], ""]
    for name in sorted(set(own) - listed):
        if not any(name in command.names for command in commands) and not _is_alias(name, listed):
            yield [_code(name), "", "", "a command of our own"]


def _refused(command: Command) -> set[str]:
    """Return the flags of a command that are known and refused."""
    if command.names[0] == "container update":
        # Limits of resources.
        return set(command.flags) - {"--restart"}
    return REFUSED.get(command.names[0], set())


def _is_alias(name: str, listed: set[str]) -> bool:
    """Return whether a command is another name of one that is listed."""
    from transom_cli.commands import other_names

    names = other_names(name)
    return any(other in listed for other in names) or name != names[0]


def _endpoint_rows() -> Iterator[list[str]]:
    for operation in operations():
        if operation.path.startswith(_SWARM):
            continue
        key = (operation.method, operation.path)
        handler = _handler(operation)
        missing = [*_missing_fields(operation, handler), *UNSUPPORTED_FIELDS.get(key, ())]
        here = "no" if handler is None else "refused" if _refuses(handler) else "partly" if missing else "yes"
        yield [_code(" ".join(key)), here, " ".join(map(_code, missing))]
    for path in _SWARM:
        yield [f"`{path} …`", "refused", "swarm"]
    for method, path, _ in ROUTES:
        if find(method, described_path(path)) is None:
            yield [_code(f"{method} {path}"), "yes", "an endpoint of our own"]


def _handler(operation: Operation) -> Handler | None:
    """Return what answers an operation, the first of the routes that match it."""
    for method, route, handler in (*ROUTES, *REFUSED_ROUTES):
        pattern = re.sub(r"\{\w+\}", "[^/]+", re.sub(r"\{\w+:([^}]*)\}", r"(?:\1)", route))
        if method in (operation.method, "*") and re.fullmatch(pattern, operation.path):
            return handler
    return None


def _refuses(handler: Handler) -> bool:
    # Sessions are for clients of our own.
    return handler is post_session or any(handler is refusal for _, _, refusal in REFUSED_ROUTES)


def _missing_fields(operation: Operation, handler: Handler | None) -> list[str]:
    return [] if handler is None or _refuses(handler) else missing_parameters(operation, handler)


def missing_parameters(operation: Operation, handler: Handler) -> list[str]:
    """Return the parameters of the query that are not named in the module of an operation's handler."""
    module = inspect.getmodule(handler)
    assert module is not None
    source = inspect.getsource(module)
    special = {"filters": "filters()", "detachKeys": "detach_keys()"}
    return [
        name
        for name in operation.parameters("query")
        if f'"{name}"' not in source and special.get(name, "\0") not in source
    ]


def _code(text: str) -> str:
    return f"`{text}`"


def main() -> int:
    """Write the page."""
    if not DESCRIPTION.exists():
        print(f"the description of the API is not there: {DESCRIPTION}", file=sys.stderr)
        return 1
    PAGE.write_text(page(docker_commands()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
