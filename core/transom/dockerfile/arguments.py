"""Build arguments: those that are there by themselves, those in front of the first stage, those of the client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from transom.dockerfile.instructions import Arg, From, Instruction
from transom.dockerfile.parse import Dockerfile
from transom.dockerfile.words import Lexer
from transom.errors import InvalidParameter
from transom.graph.model import Platform
from transom.graph.platforms import normalize

__all__ = [
    "PROXIES",
    "chosen_epoch",
    "expanded",
    "global_args",
    "global_instructions",
    "is_for_the_builder",
    "written_platform",
]

#: Arguments that every RUN gets though nobody declares them; their names may be in either case.
PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
_EPOCH: Final = "SOURCE_DATE_EPOCH"


def is_for_the_builder(name: str) -> bool:
    """Return whether an argument of the client says something though the Dockerfile does not ask for it."""
    return name.upper() in PROXIES or name == _EPOCH or name.startswith("BUILDKIT_")


def global_instructions(dockerfile: Dockerfile) -> Iterator[Instruction]:
    """Yield the instructions before the first FROM."""
    for instruction in dockerfile.instructions:
        if isinstance(instruction, From):
            return
        yield instruction


def _automatic(build: Platform, target: Platform, stage: str) -> dict[str, str]:
    """Return the arguments that are there without being declared."""
    values: dict[str, str] = {}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        written = written_platform(platform)
        values |= {
            f"{prefix}PLATFORM": str(written),
            f"{prefix}OS": written.os,
            f"{prefix}OSVERSION": "",
            f"{prefix}ARCH": written.architecture,
            f"{prefix}VARIANT": written.variant,
        }
    return {**values, "TARGETSTAGE": stage}


def written_platform(platform: Platform) -> Platform:
    """Return a platform as containerd writes it: without the variant that all of its kind have."""
    platform = normalize(platform)
    return replace(platform, variant="") if (platform.architecture, platform.variant) == ("arm64", "v8") else platform


def global_args(
    dockerfile: Dockerfile, build: Platform, target: Platform, stage: str, build_args: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables that FROM sees: those that are always there, and the ARGs in front of the first stage.

    `stage` is the name of the stage that is built. Raises `DockerfileError`.
    """
    values = _automatic(build, target, stage)
    values |= {name: build_args[name] for name in values if name in build_args}
    for instruction in global_instructions(dockerfile):
        if isinstance(instruction, Arg):
            for name, default in instruction.pairs:
                if name in build_args:
                    values[name] = build_args[name]
                elif default is not None:
                    values[name] = expanded(dockerfile, instruction, default, values)
    return values


def expanded(dockerfile: Dockerfile, instruction: Instruction, word: str, variables: Mapping[str, str]) -> str:
    """Return what a word of an instruction stands for. Raises `DockerfileError`."""
    try:
        return Lexer(instruction.escape).expand(word, variables).text
    except InvalidParameter as error:
        raise dockerfile.error(str(error), instruction) from error


def chosen_epoch(dockerfile: Dockerfile, build_args: Mapping[str, str], variables: Mapping[str, str]) -> int | None:
    """Return the time that all files and the image are to have, in seconds, None for the real ones.

    Raises `DockerfileError`.
    """
    text = build_args.get(_EPOCH, variables.get(_EPOCH, ""))
    if not text:
        return None
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 12:
        raise dockerfile.error(f'invalid {_EPOCH}: "{text}" is no number of seconds')
    return int(text)
