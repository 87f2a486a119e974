"""Changes to what an image says of its containers: the instructions of `commit --change` and `import --change`.

    config = apply_changes(image.config, ('ENV PATH=$PATH:/opt/bin', 'CMD ["serve", "--all"]', 'EXPOSE 80/tcp'))

The instructions are CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME
and WORKDIR, written as in a Dockerfile; each sees what those before it did. Variables stand for those of the
environment that the configuration has by then.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from transom.containers.signals import parse_signal
from transom.dockerfile.lines import Instruction, parse_lines
from transom.dockerfile.words import expand, split_words
from transom.errors import InvalidParameter
from transom.graph.model import Healthcheck, RunConfig
from transom.times import parse_duration

__all__ = ["apply_changes"]

_SHELL: Final = ("/bin/sh", "-c")
#: The shortest time of a health check, in nanoseconds.
_SHORTEST: Final = 10**6
_PORTS: Final = re.compile(r"(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?(?:/(?P<protocol>\w+))?", re.ASCII)


def apply_changes(config: RunConfig, changes: Sequence[str]) -> RunConfig:
    """Return a configuration with changes applied, in their order; a change may have several lines.

    Raises `InvalidParameter`, which names the instruction that is wrong.
    """
    instructions = parse_lines("\n".join(changes))
    for instruction in instructions:
        if instruction.name not in _HANDLERS:
            raise InvalidParameter(f"{instruction.written} is not a valid change command")
    state = _Changes(config)
    for instruction in instructions:
        if instruction.flags and instruction.name != "HEALTHCHECK":
            raise InvalidParameter(f"{instruction.name}: unknown flag: {instruction.flags[0].partition('=')[0]}")
        _HANDLERS[instruction.name](state, instruction)
    return state.config


class _Changes:
    """The configuration while it changes."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self._has_command = False

    def cmd(self, instruction: Instruction) -> None:
        self.config = replace(self.config, cmd=self._command(instruction.rest))
        self._has_command = True

    def entrypoint(self, instruction: Instruction) -> None:
        entrypoint = self._command(_needed(instruction))
        # What the image ran was meant for its own entrypoint.
        cmd = self.config.cmd if self._has_command else None
        self.config = replace(self.config, entrypoint=entrypoint, cmd=cmd)

    def env(self, instruction: Instruction) -> None:
        env = list(self.config.env)
        for name, value in self._pairs(instruction):
            entry = f"{name}={value}"
            places = [place for place, old in enumerate(env) if old.partition("=")[0] == name]
            if places:
                env[places[0]] = entry
            else:
                env.append(entry)
        self.config = replace(self.config, env=tuple(env))

    def label(self, instruction: Instruction) -> None:
        self.config = replace(self.config, labels={**self.config.labels, **dict(self._pairs(instruction))})

    def expose(self, instruction: Instruction) -> None:
        words = [self._expand(word) for word in split_words(_needed(instruction))]
        ports = [port for word in words for item in word.split() for port in _ports(item)]
        self.config = replace(self.config, exposed_ports=_united(self.config.exposed_ports, ports))

    def volume(self, instruction: Instruction) -> None:
        words = _strings(_needed(instruction)) or split_words(instruction.rest)
        paths = [self._expand(word).strip() for word in words]
        if not all(paths):
            raise InvalidParameter("VOLUME specified can not be an empty string")
        self.config = replace(self.config, volumes=_united(self.config.volumes, paths))

    def user(self, instruction: Instruction) -> None:
        self.config = replace(self.config, user=self._one(instruction))

    def workdir(self, instruction: Instruction) -> None:
        wanted = self._one(instruction)
        path = posixpath.normpath(posixpath.join("/", self.config.working_dir, wanted))
        self.config = replace(self.config, working_dir=f"/{path.lstrip('/')}")

    def stopsignal(self, instruction: Instruction) -> None:
        name = self._one(instruction)
        parse_signal(name)
        self.config = replace(self.config, stop_signal=name)

    def shell(self, instruction: Instruction) -> None:
        words = _strings(_needed(instruction))
        if not words:
            raise InvalidParameter('SHELL requires the arguments to be in JSON form: ["program", "argument"]')
        self.config = replace(self.config, shell=words)

    def onbuild(self, instruction: Instruction) -> None:
        trigger = _needed(instruction).split(maxsplit=1)[0].upper()
        if trigger == "ONBUILD":
            raise InvalidParameter("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
        if trigger in ("MAINTAINER", "FROM"):
            raise InvalidParameter(f"{trigger} isn't allowed as an ONBUILD trigger")
        self.config = replace(self.config, on_build=(*self.config.on_build, instruction.rest))

    def healthcheck(self, instruction: Instruction) -> None:
        kind, _, rest = _needed(instruction).partition(" ")
        if kind.upper() == "NONE":
            if rest.strip():
                raise InvalidParameter("HEALTHCHECK NONE takes no arguments")
            check = Healthcheck(test=("NONE",))
        elif kind.upper() == "CMD":
            words = _strings(rest)
            if not rest.strip() or words == ():
                raise InvalidParameter("Missing command after HEALTHCHECK CMD")
            test = ("CMD-SHELL", rest.strip()) if words is None else ("CMD", *words)
            check = _timed(Healthcheck(test=test), instruction.flags)
        else:
            raise InvalidParameter(f"Unknown type {kind!r} in HEALTHCHECK (try CMD)")
        self.config = replace(self.config, healthcheck=check)

    def _command(self, text: str) -> tuple[str, ...]:
        """Return a command: its words where they are a JSON list, otherwise the shell that runs it."""
        words = _strings(text)
        if words is not None:
            return words
        return (*(self.config.shell or _SHELL), text) if text else ()

    def _one(self, instruction: Instruction) -> str:
        """Return the only argument of an instruction, which may have spaces in it, expanded."""
        value = self._expand(_needed(instruction))
        if not value.strip():
            raise InvalidParameter(f"{instruction.name} cannot be empty")
        return value

    def _pairs(self, instruction: Instruction) -> list[tuple[str, str]]:
        """Return the pairs of `name=value …`, or of the old form `name value`."""
        words = split_words(_needed(instruction))
        if "=" not in words[0]:
            name, _, value = instruction.rest.partition(" ")
            if not value.strip():
                raise InvalidParameter(f"{instruction.name} must have two arguments")
            pairs = [(name, value.strip())]
        else:
            pairs = []
            for word in words:
                name, equals, value = word.partition("=")
                if not equals:
                    raise InvalidParameter(
                        f"Syntax error - can't find = in {json.dumps(word)}. Must be of the form: name=value"
                    )
                pairs.append((name, value))
        expanded = [(self._expand(name), self._expand(value)) for name, value in pairs]
        if not all(name for name, _ in expanded):
            raise InvalidParameter(f"{instruction.name} names can not be blank")
        return expanded

    def _expand(self, word: str) -> str:
        pairs = (entry.partition("=") for entry in self.config.env)
        variables: Mapping[str, str] = {name: value for name, equals, value in pairs if equals}
        return expand(word, variables)


def _needed(instruction: Instruction) -> str:
    if not instruction.rest:
        raise InvalidParameter(f"{instruction.name} requires at least one argument")
    return instruction.rest


def _strings(text: str) -> tuple[str, ...] | None:
    """Return a JSON list of strings, or None for what is none."""
    if not text.lstrip().startswith("["):
        return None
    try:
        words = json.loads(text)
    except ValueError:
        return None
    return tuple(words) if all(isinstance(word, str) for word in words) else None


def _united(old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old, *new)))


def _ports(text: str) -> list[str]:
    match = _PORTS.fullmatch(text)
    protocol = (match["protocol"] or "tcp").lower() if match else ""
    if match is None or protocol not in ("tcp", "udp", "sctp"):
        raise InvalidParameter(f"invalid containerPort: {text}")
    first = int(match["first"])
    last = int(match["last"] or first)
    if not first <= last < 2**16:
        raise InvalidParameter(f"invalid range specified for port: {text}")
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def _timed(check: Healthcheck, flags: Sequence[str]) -> Healthcheck:
    """Return a health check with what its flags say."""
    values: dict[str, Any] = {}
    for item in flags:
        name, _, value = item.removeprefix("--").partition("=")
        if name in ("interval", "timeout", "start-period", "start-interval"):
            values[name.replace("-", "_")] = _nanoseconds(name, value)
        elif name == "retries":
            if not value.isascii() or not value.isdecimal() or int(value) >= 2**31:
                raise InvalidParameter(f"HEALTHCHECK: --retries should be a whole number, not {value!r}")
            values[name] = int(value)
        else:
            raise InvalidParameter(f"HEALTHCHECK: unknown flag: --{name}")
    return replace(check, **values)


def _nanoseconds(name: str, text: str) -> int:
    try:
        duration = parse_duration(text)
    except InvalidParameter as error:
        raise InvalidParameter(f"HEALTHCHECK: --{name}: {error}") from None
    if duration != 0 and duration < _SHORTEST:
        raise InvalidParameter(f'HEALTHCHECK: --{name} "{text}" cannot be less than 1ms')
    return duration


_HANDLERS: Final[Mapping[str, Callable[[_Changes, Instruction], None]]] = {
    "CMD": _Changes.cmd,
    "ENTRYPOINT": _Changes.entrypoint,
    "ENV": _Changes.env,
    "EXPOSE": _Changes.expose,
    "HEALTHCHECK": _Changes.healthcheck,
    "LABEL": _Changes.label,
    "ONBUILD": _Changes.onbuild,
    "SHELL": _Changes.shell,
    "STOPSIGNAL": _Changes.stopsignal,
    "USER": _Changes.user,
    "VOLUME": _Changes.volume,
    "WORKDIR": _Changes.workdir,
}
