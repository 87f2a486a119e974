"""The instructions of a Dockerfile, one class each, as they are written: variables in them are not expanded.

What has been checked when one of these exists: flags, the number of arguments, and whatever needs no variable.
"""

from __future__ import annotations

from dataclasses import dataclass

from transom.dockerfile.heredocs import Heredoc
from transom.dockerfile.mounts import RunMount
from transom.dockerfile.source import Location
from transom.graph.model import Healthcheck as HealthcheckConfig

__all__ = [
    "Add",
    "Arg",
    "Cmd",
    "Copy",
    "Entrypoint",
    "Env",
    "Expose",
    "From",
    "Healthcheck",
    "Instruction",
    "Label",
    "Maintainer",
    "Onbuild",
    "Run",
    "Shell",
    "Stopsignal",
    "User",
    "Volume",
    "Workdir",
]


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """What all have: where it stands, and how it is written.

    `text` is the instruction on one line, without here-documents; `keyword` its first word as it is written;
    `comments` the lines of comment right above it, without their marks; `escape` the character that takes the meaning
    from another one in it.
    """

    location: Location
    text: str
    keyword: str
    comments: tuple[str, ...] = ()
    escape: str = "\\"

    @property
    def name(self) -> str:
        """Its keyword in upper case."""
        return self.keyword.upper()


@dataclass(frozen=True, kw_only=True)
class From(Instruction):
    """`alias` is the name of the stage in lower case, `platform` what the flag says; both empty where not given."""

    image: str
    alias: str = ""
    platform: str = ""


@dataclass(frozen=True, kw_only=True)
class Run(Instruction):
    """`command` is a line for the shell where `shell` is true, otherwise the process's arguments.

    `mounts` are complete where no variable stands in them; `mount_flags` are what they are written as.
    """

    command: tuple[str, ...] | str
    shell: bool
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[RunMount, ...] = ()
    mount_flags: tuple[str, ...] = ()
    network: str = "default"
    security: str = "sandbox"


@dataclass(frozen=True, kw_only=True)
class _Transfer(Instruction):
    """What COPY and ADD share. Here-documents are files that are named like their marks."""

    sources: tuple[str, ...]
    destination: str
    heredocs: tuple[Heredoc, ...] = ()
    chown: str = ""
    chmod: str = ""
    link: bool = False
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Copy(_Transfer):
    """`from_` is a stage's name or number, a named context or an image, empty for the build's context."""

    from_: str = ""
    parents: bool = False


@dataclass(frozen=True, kw_only=True)
class Add(_Transfer):
    """`keep_git_dir` and `unpack` are None where nothing is said."""

    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Cmd(Instruction):
    """As in `Run`."""

    command: tuple[str, ...] | str
    shell: bool


@dataclass(frozen=True, kw_only=True)
class Entrypoint(Instruction):
    """As in `Run`."""

    command: tuple[str, ...] | str
    shell: bool


@dataclass(frozen=True, kw_only=True)
class Label(Instruction):
    """`legacy` is the old form, `LABEL name value`."""

    pairs: tuple[tuple[str, str], ...]
    legacy: bool = False


@dataclass(frozen=True, kw_only=True)
class Maintainer(Instruction):
    """The author of the image."""

    maintainer: str


@dataclass(frozen=True, kw_only=True)
class Expose(Instruction):
    """The words as they are written: `80`, `53/udp`, `8000-8010/tcp`."""

    ports: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Env(Instruction):
    """`legacy` is the old form, `ENV name value`."""

    pairs: tuple[tuple[str, str], ...]
    legacy: bool = False


@dataclass(frozen=True, kw_only=True)
class Volume(Instruction):
    """Paths in the container."""

    paths: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class User(Instruction):
    """`name` or `name:group`, or their numbers."""

    user: str


@dataclass(frozen=True, kw_only=True)
class Workdir(Instruction):
    """A path, relative to the working directory before it."""

    path: str


@dataclass(frozen=True, kw_only=True)
class Arg(Instruction):
    """Names with their defaults, None for those that have none."""

    pairs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, kw_only=True)
class Onbuild(Instruction):
    """`trigger` is an instruction as it is written, with its here-documents."""

    trigger: str


@dataclass(frozen=True, kw_only=True)
class Stopsignal(Instruction):
    """A signal's name or number."""

    signal: str


@dataclass(frozen=True, kw_only=True)
class Healthcheck(Instruction):
    """The check of a container's health, or that there is none."""

    check: HealthcheckConfig


@dataclass(frozen=True, kw_only=True)
class Shell(Instruction):
    """What runs the lines of RUN, CMD and ENTRYPOINT from here on."""

    shell: tuple[str, ...]
