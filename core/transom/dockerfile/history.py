"""What the history of an image says of an instruction, in the words of Docker 28's BuildKit.

Lists, maps and structures are written as Go writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from transom.dockerfile.instructions import Add, Copy
from transom.dockerfile.notation import duration, quoted, quoted_character
from transom.graph.model import Healthcheck

__all__ = ["arguments", "command", "healthcheck", "pairs", "ports", "run", "transfer"]

#: What BuildKit adds to the instructions that it does something for.
_DONE = " # buildkit"


def pairs(name: str, values: Iterable[tuple[str, str]]) -> str:
    """Return the entry of ENV or LABEL."""
    return " ".join((name, *(f"{key}={value}" for key, value in values)))


def arguments(values: Iterable[tuple[str, str | None]]) -> str:
    """Return the entry of ARG."""
    return " ".join(("ARG", *(name if value is None else f"{name}={value}" for name, value in values)))


def command(name: str, words: Sequence[str]) -> str:
    """Return the entry of CMD or ENTRYPOINT."""
    return f"{name} [{' '.join(map(quoted, words))}]"


def ports(values: Iterable[str]) -> str:
    """Return the entry of EXPOSE."""
    return f"EXPOSE [{' '.join(sorted(set(values)))}]"


def healthcheck(check: Healthcheck) -> str:
    """Return the entry of HEALTHCHECK, in which the number of retries is a character."""
    times = (check.interval, check.timeout, check.start_period, check.start_interval)
    fields = (f"[{' '.join(map(quoted, check.test))}]", *(f'"{duration(time)}"' for time in times))
    return f"HEALTHCHECK &{{{' '.join(fields)} {quoted_character(check.retries)}}}"


def run(words: Sequence[str], args: Iterable[tuple[str, str | None]], environment: Mapping[str, str]) -> str:
    """Return the entry of RUN: the arguments that it could see, and those of its process."""
    seen = {name: environment.get(name, value or "") for name, value in args}
    visible = [f"{name}={value}" for name, value in seen.items()]
    return " ".join(("RUN", *((f"|{len(visible)}", *visible) if visible else ()), *words)) + _DONE


def transfer(instruction: Copy | Add) -> str:
    """Return the entry of COPY or ADD."""
    words = ["ADD" if isinstance(instruction, Add) else "COPY"]
    if isinstance(instruction, Copy) and instruction.parents:
        words.append("--parents")
    if instruction.chown:
        words.append(f"--chown={instruction.chown}")
    if instruction.chmod:
        words.append(f"--chmod={instruction.chmod}")
    documents = (f"<<{heredoc.name}" for heredoc in instruction.heredocs)
    return " ".join((*words, *instruction.sources, *documents, instruction.destination)) + _DONE
