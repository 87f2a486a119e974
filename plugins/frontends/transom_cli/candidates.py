"""What may stand at the end of a command line: commands, flags and their values, and names that the daemon knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any, NamedTuple

import click

from transom_cli.client import Client
from transom_cli.commands import COMMANDS, GROUPS, other_names
from transom_cli.completion_words import ARGUMENTS, FILES, FILTERS, VALUES, WORDS
from transom_cli.errors import CommandFailed
from transom_cli.flags import ApiCommand, Flag

__all__ = ["Candidate", "Directive", "find_candidates"]


class Candidate(NamedTuple):
    """A whole word, and what it is."""

    text: str
    about: str = ""


class Directive(IntFlag):
    """What a shell should do besides: put no space behind the word, complete no names of files."""

    DEFAULT = 0
    NO_SPACE = 2
    NO_FILES = 4


@dataclass
class _Line:
    """A command line up to its last word."""

    command: click.Command
    path: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    given: set[str] = field(default_factory=set)
    #: The flag whose value the last word is, if it is one.
    waiting: Flag | None = None
    flags_ended: bool = False

    @property
    def canonical(self) -> str:
        """The command's path, by its grouped name where it has one."""
        path = " ".join(self.path)
        return other_names(path)[0] if isinstance(self.command, ApiCommand) and self._is_own() else path

    def _is_own(self) -> bool:
        names: Mapping[str, Any] = GROUPS.get(self.path[0], {}) if len(self.path) == 2 else COMMANDS
        return self.path[-1] in names


def find_candidates(client: Client, words: Sequence[str]) -> tuple[list[Candidate], Directive]:
    """Return what the last word of a command line may be, given those before it, and what to do with that.

    Nothing is raised: a daemon that does not answer knows no names.
    """
    *before, last = words
    # fish has the last word behind a `--` of its own.
    if before and before[-1] == "--":
        before = before[:-1]
    line = _read(before)
    try:
        found, directive = _candidates(client, line, last)
    except CommandFailed:
        found, directive = [], Directive.NO_FILES
    return [candidate for candidate in found if candidate.text.startswith(last)], directive


def _read(words: Sequence[str]) -> _Line:
    """Return what the words before the last one say."""
    from transom_cli.main import LazyGroup, root  # which imports this

    line = _Line(root)
    context = click.Context(root, info_name="transom")
    for word in words:
        if line.waiting is not None:
            line.waiting = None
        elif word.startswith("-") and word != "-" and not line.flags_ended:
            _read_flag(line, word)
        elif isinstance(line.command, LazyGroup):
            found = line.command.get_command(context, word)
            if found is None:
                line.flags_ended = True
                line.command = click.Command("unknown")
                continue
            line.command, line.given = found, set()
            line.path.append(word)
        else:
            line.arguments.append(word)
            line.flags_ended = line.flags_ended or not getattr(line.command, "interspersed", True)
    return line


def _read_flag(line: _Line, word: str) -> None:
    if word == "--":
        line.flags_ended = True
        return
    flags = _flags(line.command)
    name, equals, _ = word.partition("=")
    if word.startswith("--"):
        line.given.add(name)
        flag = flags.get(name)
        line.waiting = flag if flag is not None and not flag.is_flag and not equals else None
        return
    letters = word[1:]
    while letters:
        flag, letters = flags.get(f"-{letters[0]}"), letters[1:]
        if flag is None:
            return
        line.given.add(flag.long)
        if not flag.is_flag:
            line.waiting = None if letters else flag
            return


def _flags(command: click.Command) -> dict[str, Flag]:
    return {name: flag for flag in command.params if isinstance(flag, Flag) for name in flag.opts}


def _candidates(client: Client, line: _Line, last: str) -> tuple[Iterable[Candidate], Directive]:
    if line.waiting is not None:
        return _values(client, line, line.waiting, last)
    if last.startswith("-") and not line.flags_ended:
        name, equals, value = last.partition("=")
        flag = _flags(line.command).get(name)
        if equals and flag is not None and last.startswith("--"):
            found, directive = _values(client, line, flag, value)
            return [Candidate(f"{name}={one.text}", one.about) for one in found], directive
        return _flag_names(line, long_only=last.startswith("--")), Directive.NO_FILES
    if hasattr(line.command, "entries"):
        return _commands(line.command, last), Directive.NO_FILES
    return _arguments(client, line, last)


def _flag_names(line: _Line, long_only: bool) -> list[Candidate]:
    found = []
    for flag in line.command.params:
        if isinstance(flag, Flag) and (flag.multiple or flag.long not in line.given):
            found += [
                Candidate(name, flag.help or "") for name in sorted(flag.opts) if name.startswith("--" * long_only)
            ]
    return [*found, Candidate("--help", "Print usage")]


def _commands(group: Any, last: str) -> list[Candidate]:
    """Return a group's commands; plugins, which take longer, are asked where it has none that begins so."""
    own = {name: entry for name, entry in group.entries.items() if entry.section}
    known = own if any(name.startswith(last) for name in own) else group.listed()
    return sorted(Candidate(name, entry.help) for name, entry in known.items())


def _arguments(client: Client, line: _Line, last: str) -> tuple[Iterable[Candidate], Directive]:
    """Return what the next argument of a command may be."""
    kinds = ARGUMENTS.get(line.canonical, ())
    place = len(line.arguments)
    if kinds and kinds[-1].endswith("*"):
        place = min(place, len(kinds) - 1)
    if place >= len(kinds):
        return [], Directive.NO_FILES
    kind = kinds[place].rstrip("*")
    if kind == "files":
        return [], Directive.DEFAULT
    if kind == "place":
        names = [Candidate(f"{name.text}:", name.about) for name in _NAMES["container"](client, last)]
        is_path = ":" in last or "/" in last or last.startswith(".")
        return ([], Directive.DEFAULT) if is_path else (names, Directive.NO_SPACE)
    known = set(line.arguments)
    return [one for one in _named(client, kind, last) if one.text not in known], Directive.NO_FILES


def _values(client: Client, line: _Line, flag: Flag, last: str) -> tuple[Iterable[Candidate], Directive]:
    """Return what the value of a flag may be."""
    name = flag.long
    if name == "--filter":
        return _filters(client, line, last)
    if name in FILES:
        return [], Directive.DEFAULT
    if name == "--volume":
        if last.startswith(("/", ".", "~")):
            return [], Directive.DEFAULT | Directive.NO_SPACE
        return [Candidate(f"{one.text}:", one.about) for one in _named(client, "volume", last)], Directive.NO_SPACE
    kind = VALUES.get(f"{line.canonical} {name}") or VALUES.get(name, "")
    found = _named(client, kind, last) if kind else []
    open_ended = bool(found) and all(one.text.endswith(("=", ":")) for one in found if one.text.startswith(last))
    return found, Directive.NO_FILES | (Directive.NO_SPACE if open_ended else Directive.DEFAULT)


def _filters(client: Client, line: _Line, last: str) -> tuple[Iterable[Candidate], Directive]:
    """Return the names of a command's filters, or the values of one."""
    filters = FILTERS.get(line.canonical, {})
    name, equals, value = last.partition("=")
    if not equals:
        return [Candidate(f"{each}=") for each in filters], Directive.NO_FILES | Directive.NO_SPACE
    kind = filters.get(name, "")
    found = _named(client, kind, value) if kind else []
    return [Candidate(f"{name}={one.text}", one.about) for one in found], Directive.NO_FILES


def _named(client: Client, kind: str, last: str) -> list[Candidate]:
    """Return all words of a kind: fixed ones, or names that the daemon knows."""
    if kind in WORDS:
        return [Candidate(word) for word in WORDS[kind]]
    return list(_NAMES[kind](client, last))


# What the daemon knows


def _containers(*states: str) -> Callable[[Client, str], list[Candidate]]:
    def names(client: Client, last: str) -> list[Candidate]:
        filters = {"status": list(states)} if states else None
        found = client.get("/containers/json", all=True, filters=filters)
        by_name = [
            Candidate(name.removeprefix("/"), f"{container['Image']}, {container['Status']}")
            for container in found
            for name in container["Names"] or []
            if "/" not in name[1:]
        ]
        if any(one.text.startswith(last) for one in by_name) or not re.fullmatch("[0-9a-f]+", last):
            return by_name
        return [Candidate(container["Id"][:12], container["Image"]) for container in found]

    return names


def _images(client: Client, _last: str) -> list[Candidate]:
    return [Candidate(tag) for image in client.get("/images/json") for tag in image["RepoTags"] or [] if tag[0] != "<"]


def _volumes(client: Client, _last: str) -> list[Candidate]:
    return [Candidate(volume["Name"], volume["Driver"]) for volume in client.get("/volumes")["Volumes"] or []]


def _networks(client: Client, _last: str) -> list[Candidate]:
    return [Candidate(network["Name"], network["Driver"]) for network in client.get("/networks")]


def _network_modes(client: Client, last: str) -> list[Candidate]:
    containers = [Candidate(f"container:{one.text}", one.about) for one in _containers("running")(client, "")]
    return [*_networks(client, last), *(containers if last.startswith("container:") else [Candidate("container:")])]


def _joined(client: Client, last: str) -> list[Candidate]:
    containers = [Candidate(f"container:{one.text}", one.about) for one in _containers("running")(client, "")]
    return [Candidate("host"), *(containers if last.startswith("container:") else [Candidate("container:")])]


def _drivers(*kinds: str) -> Callable[[Client, str], list[Candidate]]:
    def names(client: Client, _last: str) -> list[Candidate]:
        found = client.get("/drivers")
        return [Candidate(one["Name"], one["Kind"]) for one in found if not kinds or one["Kind"] in kinds]

    return names


def _objects(client: Client, last: str) -> list[Candidate]:
    lists = (_containers(), _images, _volumes, _networks)
    return [candidate for names in lists for candidate in names(client, last)]


def _environment(_client: Client, _last: str) -> list[Candidate]:
    import os

    return [Candidate(name) for name in sorted(os.environ)]


_NAMES: Mapping[str, Callable[[Client, str], list[Candidate]]] = {
    "container": _containers(),
    "driver": _drivers(),
    "environment": _environment,
    "exec-driver": _drivers("exec"),
    "graph-driver": _drivers("graph"),
    "image": _images,
    "joined": _joined,
    "log-driver": _drivers("log"),
    "network": _networks,
    "network-mode": _network_modes,
    "object": _objects,
    "paused": _containers("paused"),
    "running": _containers("running"),
    "stopped": _containers("created", "exited"),
    "volume": _volumes,
    "volume-driver": _drivers("volume"),
}
