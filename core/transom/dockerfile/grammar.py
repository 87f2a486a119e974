"""What each instruction's line means: its flags, the form of its arguments, and how many there may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from transom.containers.signals import parse_signal
from transom.dockerfile import instructions as made
from transom.dockerfile.flags import Flags, Kind
from transom.dockerfile.heredocs import Heredoc, check_file_name, parse_mark
from transom.dockerfile.ignore import PatternError, Patterns
from transom.dockerfile.instructions import Instruction
from transom.dockerfile.lines import Line, json_strings, split_arguments, split_instruction
from transom.dockerfile.mounts import parse_mount
from transom.dockerfile.notation import quoted
from transom.dockerfile.ports import parse_ports
from transom.dockerfile.source import with_suggestion
from transom.dockerfile.words import split_words
from transom.errors import InvalidParameter
from transom.graph.model import Healthcheck
from transom.times import parse_duration

__all__ = ["KEYWORDS", "interpret"]

#: The shortest time of a health check, in nanoseconds.
_SHORTEST: Final = 10**6
_STAGE_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]*")
_MODE: Final = re.compile(r"0*[0-7]{1,4}|[ugoa]*[-+=][rwxXstugo]*(?:[-+=][rwxXstugo]*)*(?:,[ugoa]*[-+=][rwxXstugo]*)*")
_COPY_FLAGS: Final[Mapping[str, Kind]] = {
    "from": "text", "chown": "text", "chmod": "text", "link": "switch", "parents": "switch", "exclude": "list",
}  # fmt: skip
_ADD_FLAGS: Final[Mapping[str, Kind]] = {
    "chown": "text", "chmod": "text", "link": "switch", "exclude": "list", "checksum": "text",
    "keep-git-dir": "switch", "unpack": "switch",
}  # fmt: skip
_RUN_FLAGS: Final[Mapping[str, Kind]] = {"mount": "list", "network": "text", "security": "text"}
_HEALTHCHECK_FLAGS: Final[Mapping[str, Kind]] = {
    "interval": "text", "timeout": "text", "start-period": "text", "start-interval": "text", "retries": "text",
}  # fmt: skip


def interpret(line: Line) -> Instruction:
    """Return the instruction of a line. Raises `InvalidParameter`."""
    reader = _READERS.get(line.name)
    if reader is None:
        raise InvalidParameter(
            with_suggestion(f"unknown instruction: {line.keyword}", line.keyword, KEYWORDS, fold_case=True)
        )
    return reader(line)


def _common(line: Line) -> dict[str, Any]:
    return {
        "location": line.location,
        "text": line.text,
        "keyword": line.keyword,
        "comments": line.comments,
        "escape": line.escape,
    }


def _from(line: Line) -> Instruction:
    words = split_arguments(line.rest)
    alias = ""
    if len(words) == 3 and words[1].lower() == "as":
        alias = words[2].lower()
        if not _STAGE_NAME.fullmatch(alias):
            raise InvalidParameter(
                f"invalid name for build stage: {quoted(words[2])}, name can't start with a number or contain symbols"
            )
    elif len(words) != 1:
        raise InvalidParameter("FROM requires either one or three arguments")
    flags = Flags(line.flags, {"platform": "text"})
    return made.From(**_common(line), image=words[0], alias=alias, platform=flags.text("platform"))


def _run(line: Line) -> Instruction:
    flags = Flags(line.flags, _RUN_FLAGS)
    command, shell = _command(line.rest)
    network = flags.text("network", "default")
    if network not in ("default", "none", "host"):
        raise InvalidParameter(f"unsupported network mode {quoted(network)}: it should be default, none or host")
    security = flags.text("security", "sandbox")
    if security not in ("sandbox", "insecure"):
        raise InvalidParameter(f"security {quoted(security)} is not valid: it should be sandbox or insecure")
    if not command:
        raise InvalidParameter("RUN requires at least one argument")
    mounts = flags.texts("mount")
    return made.Run(
        **_common(line),
        command=command,
        shell=shell,
        heredocs=line.heredocs,
        mounts=tuple(parse_mount(mount) for mount in mounts),
        mount_flags=mounts,
        network=network,
        security=security,
    )


def _copy(line: Line) -> Instruction:
    flags = Flags(line.flags, _COPY_FLAGS)
    return made.Copy(
        **_transfer(line, flags),
        from_=flags.text("from"),
        parents=bool(flags.switch("parents")),
    )


def _add(line: Line) -> Instruction:
    flags = Flags(line.flags, _ADD_FLAGS)
    return made.Add(
        **_transfer(line, flags),
        checksum=flags.text("checksum"),
        keep_git_dir=flags.switch("keep-git-dir"),
        unpack=flags.switch("unpack"),
    )


def _transfer(line: Line, flags: Flags) -> dict[str, Any]:
    """Return what COPY and ADD share."""
    words = _strings_or_words(line.rest)
    if len(words) < 2:
        raise InvalidParameter(
            f"{line.name} requires at least two arguments, but only one was provided."
            " Destination could not be determined"
        )
    *sources, destination = words
    contents = {heredoc.name: heredoc for heredoc in line.heredocs}
    if line.heredocs and parse_mark(destination):
        raise InvalidParameter(f"{line.name} cannot accept a heredoc as a destination")
    paths: list[str] = []
    heredocs: list[Heredoc] = []
    for source in sources:
        mark = parse_mark(source) if line.heredocs else None
        if mark is not None and mark.name in contents:
            check_file_name(mark.name)
            heredocs.append(contents[mark.name])
        else:
            paths.append(source)
    chmod, excludes = flags.text("chmod"), flags.texts("exclude")
    if "$" not in chmod:
        check_mode(chmod)
    try:
        Patterns.of(excludes)
    except PatternError as error:
        raise InvalidParameter(f"--exclude: {error}") from error
    return {
        **_common(line),
        "sources": tuple(paths),
        "destination": destination,
        "heredocs": tuple(heredocs),
        "chown": flags.text("chown"),
        "chmod": chmod,
        "link": bool(flags.switch("link")),
        "excludes": excludes,
    }


def check_mode(text: str) -> None:
    """Refuse what is no mode of a file: up to 7777 in octal, or as `chmod` takes it. Raises `InvalidParameter`."""
    if text and not _MODE.fullmatch(text):
        raise InvalidParameter(f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")


def _cmd(line: Line) -> Instruction:
    Flags(line.flags, {})
    command, shell = _command(line.rest)
    return made.Cmd(**_common(line), command=command, shell=shell)


def _entrypoint(line: Line) -> Instruction:
    Flags(line.flags, {})
    command, shell = _command(line.rest)
    return made.Entrypoint(**_common(line), command=command, shell=shell)


def _label(line: Line) -> Instruction:
    pairs, legacy = _pairs(line)
    return made.Label(**_common(line), pairs=pairs, legacy=legacy)


def _maintainer(line: Line) -> Instruction:
    return made.Maintainer(**_common(line), maintainer=_one(line))


def _expose(line: Line) -> Instruction:
    Flags(line.flags, {})
    words = split_arguments(_needed(line))
    for word in words:
        if not _is_expanded(line, word):
            parse_ports(word)
    return made.Expose(**_common(line), ports=words)


def _env(line: Line) -> Instruction:
    pairs, legacy = _pairs(line)
    return made.Env(**_common(line), pairs=pairs, legacy=legacy)


def _volume(line: Line) -> Instruction:
    Flags(line.flags, {})
    paths = tuple(path.strip() for path in _strings_or_words(_needed(line)))
    if not paths:
        raise InvalidParameter("VOLUME requires at least one argument")
    if not all(paths):
        raise InvalidParameter("VOLUME specified can not be an empty string")
    return made.Volume(**_common(line), paths=paths)


def _user(line: Line) -> Instruction:
    return made.User(**_common(line), user=_one(line))


def _workdir(line: Line) -> Instruction:
    return made.Workdir(**_common(line), path=_one(line))


def _arg(line: Line) -> Instruction:
    Flags(line.flags, {})
    pairs: list[tuple[str, str | None]] = []
    for word in split_words(_needed(line), line.escape):
        name, equals, value = word.partition("=")
        if not name:
            raise InvalidParameter("ARG names can not be blank")
        pairs.append((name, value if equals else None))
    return made.Arg(**_common(line), pairs=tuple(pairs))


def _onbuild(line: Line) -> Instruction:
    Flags(line.flags, {})
    keyword, flags, rest = split_instruction(_needed(line))
    if keyword.upper() == "ONBUILD":
        raise InvalidParameter("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if keyword.upper() in ("FROM", "MAINTAINER"):
        raise InvalidParameter(f"{keyword.upper()} isn't allowed as an ONBUILD trigger")
    # What is wrong in it would be found by somebody else, when they build on this image.
    interpret(Line(line.rest, keyword, flags, rest, line.location, (), line.heredocs, escape=line.escape))
    documents = "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in line.heredocs)
    return made.Onbuild(**_common(line), trigger=f"{line.rest}{documents}")


def _stopsignal(line: Line) -> Instruction:
    signal = _one(line)
    if not _is_expanded(line, signal):
        parse_signal(signal)
    return made.Stopsignal(**_common(line), signal=signal)


def _healthcheck(line: Line) -> Instruction:
    kind, *arguments = _needed(line).split(maxsplit=1)
    rest = "".join(arguments)
    if kind.upper() == "NONE":
        Flags(line.flags, {})
        if rest:
            raise InvalidParameter("HEALTHCHECK NONE takes no arguments")
        return made.Healthcheck(**_common(line), check=Healthcheck(test=("NONE",)))
    flags = Flags(line.flags, _HEALTHCHECK_FLAGS)
    if kind.upper() != "CMD":
        raise InvalidParameter(f"Unknown type {quoted(kind.upper())} in HEALTHCHECK (try CMD)")
    command, _ = _command(rest)
    if not command:
        raise InvalidParameter("Missing command after HEALTHCHECK CMD")
    check = Healthcheck(
        test=("CMD-SHELL", command) if isinstance(command, str) else ("CMD", *command),
        interval=_interval(flags, "interval"),
        timeout=_interval(flags, "timeout"),
        retries=_retries(flags.text("retries")),
        start_period=_interval(flags, "start-period"),
        start_interval=_interval(flags, "start-interval"),
    )
    return made.Healthcheck(**_common(line), check=check)


def _shell(line: Line) -> Instruction:
    Flags(line.flags, {})
    words = json_strings(_needed(line))
    if words is None:
        raise InvalidParameter("SHELL requires the arguments to be in JSON form")
    if not words:
        raise InvalidParameter("SHELL requires at least one argument")
    return made.Shell(**_common(line), shell=words)


def _interval(flags: Flags, name: str) -> int:
    text = flags.text(name)
    if not text:
        return 0
    duration = parse_duration(text)
    if duration != 0 and duration < _SHORTEST:
        raise InvalidParameter(f'Interval "{name}" cannot be less than 1ms')
    return duration


def _retries(text: str) -> int:
    if not text:
        return 0
    digits = text.removeprefix("-").removeprefix("+")
    if not digits.isascii() or not digits.isdecimal() or int(digits[:20]) >= 2**31:
        raise InvalidParameter(f'HEALTHCHECK: --retries should be a whole number, not "{text}"')
    if text.startswith("-") and int(digits):
        raise InvalidParameter(f"--retries cannot be negative ({text})")
    return int(digits)


def _needed(line: Line) -> str:
    if not line.rest:
        raise InvalidParameter(f"{line.name} requires at least one argument")
    return line.rest


def _one(line: Line) -> str:
    """Return the only argument of an instruction, which may have spaces in it."""
    if not line.rest:
        raise InvalidParameter(f"{line.name} requires exactly one argument")
    Flags(line.flags, {})
    return line.rest


def _command(rest: str) -> tuple[tuple[str, ...] | str, bool]:
    """Return a command, and whether it is a line for the shell and no list of arguments."""
    words = json_strings(rest)
    if words is not None:
        return words, False
    return rest, True


def _strings_or_words(rest: str) -> tuple[str, ...]:
    words = json_strings(rest)
    return split_arguments(rest) if words is None else words


def _pairs(line: Line) -> tuple[tuple[tuple[str, str], ...], bool]:
    """Return the pairs of `name=value …`, or of the old form `name value`, and whether it is the old one."""
    Flags(line.flags, {})
    words = split_words(_needed(line), line.escape)
    if words and "=" in words[0]:
        pairs = []
        for word in words:
            name, equals, value = word.partition("=")
            if not equals:
                raise InvalidParameter(
                    f"Syntax error - can't find = in {quoted(word)}. Must be of the form: name=value"
                )
            if not name:
                raise InvalidParameter(f"{line.name} names can not be blank")
            pairs.append((name, value))
        return tuple(pairs), False
    old = line.rest.split(maxsplit=1)
    if len(old) < 2:
        raise InvalidParameter(f"{line.name} must have two arguments")
    return ((old[0], old[1]),), True


def _is_expanded(line: Line, word: str) -> bool:
    """Return whether a word may be another one when quotes and variables in it are read."""
    return any(character in word for character in ("$", "'", '"', line.escape))


_READERS: Final[Mapping[str, Callable[[Line], Instruction]]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
#: The instructions that there are, in upper case.
KEYWORDS: Final = tuple(_READERS)
