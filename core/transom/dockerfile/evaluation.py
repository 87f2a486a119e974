"""What a stage is while it is evaluated from top to bottom, and what each instruction is with its variables expanded.

    state = begin(plan, stage, image.config)          # or the state at the end of the stage that it is based on
    for instruction in stage.instructions:
        state, resolved = advance(state, instruction)

Nothing is done here: who builds does to files what a resolved instruction says. `state.config` is the configuration
of the image by then.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from transom.containers.signals import parse_signal
from transom.dockerfile import history
from transom.dockerfile.arguments import PROXIES
from transom.dockerfile.globs import Glob, PatternError, has_wildcards
from transom.dockerfile.grammar import check_mode
from transom.dockerfile.heredocs import Heredoc, check_file_name, parse_mark
from transom.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from transom.dockerfile.mounts import RunMount, parse_mount
from transom.dockerfile.parse import Dockerfile
from transom.dockerfile.ports import parse_ports
from transom.dockerfile.source import DockerfileError
from transom.dockerfile.stages import ImageName, Plan, Stage
from transom.dockerfile.words import Expansion, Lexer
from transom.errors import InvalidParameter
from transom.graph.model import RunConfig

__all__ = ["DEFAULT_PATH", "Resolved", "StageState", "advance", "begin", "history_text", "title"]

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHELL: Final = ("/bin/sh", "-c")
#: The variables and labels of a stage may have as many characters. A process can be given less.
_LARGEST: Final = 8 * 2**20
#: What is not in a context, but elsewhere, and what of that is a repository.
_REMOTE: Final = re.compile(r"(?:https?|git|ssh)://|[\w.-]+@[\w.-]+:")
_REPOSITORY: Final = re.compile(r"\.git(?:[?#]|$)")
#: Where a here-document that is a script stands while it runs.
_SCRIPTS: Final = "/dev/pipes"


@dataclass(frozen=True)
class StageState:
    """A stage between two instructions.

    `config` is that of the image; `author` what MAINTAINER said; `environment` what a process of RUN gets, in which
    arguments are too; `args` the arguments that have been declared, in their order, None for those without a value;
    `proxies` what RUN gets besides and nothing may depend on.
    """

    config: RunConfig
    environment: Mapping[str, str]
    args: tuple[tuple[str, str | None], ...] = ()
    author: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    global_args: Mapping[str, str] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict)
    dockerfile: Dockerfile | None = None
    has_command: bool = False

    @property
    def shell(self) -> tuple[str, ...]:
        """What runs lines of RUN, CMD and ENTRYPOINT."""
        return self.config.shell or _SHELL

    @property
    def working_dir(self) -> str:
        """The working directory, absolute."""
        return self.config.working_dir or "/"


@dataclass(frozen=True)
class Resolved:
    """An instruction as it is to be carried out.

    `instruction` has all variables expanded, paths of the container in it are absolute; `history` is what the image
    tells of it, empty for those of which it tells nothing; `makes_layer` says that it changes files; `unset` are
    variables in it that nothing has declared.

    Of RUN: `arguments` and `environment` of its process, which runs as `user` in `working_dir`; `proxies` are added
    to the environment and to nothing that is kept; `script` is a here-document that has to be there as the
    executable file that `arguments` name, `/dev/pipes/NAME`.
    """

    instruction: Instruction
    history: str = ""
    makes_layer: bool = False
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = "/"
    user: str = ""
    script: Heredoc | None = None
    unset: frozenset[str] = frozenset()


def begin(plan: Plan, stage: Stage, base: RunConfig | StageState | None = None) -> StageState:
    """Return the state of a stage before its first instruction.

    `base` is the configuration of the image that it begins with, or the last state of the stage; None where there is
    none, as for files without an image.
    """
    if isinstance(base, StageState):
        # Triggers have been made instructions of this stage.
        return replace(base, config=replace(base.config, on_build=()), has_command=False)
    config = base or RunConfig(working_dir="" if isinstance(stage.base, ImageName) else "/")
    environment = dict(_pair(entry) for entry in config.env)
    if "PATH" not in environment:
        environment["PATH"] = DEFAULT_PATH
        config = replace(config, env=(*config.env, f"PATH={DEFAULT_PATH}"))
    working_dir = config.working_dir
    if working_dir and not working_dir.startswith("/"):
        working_dir = _joined("/", working_dir)
    return StageState(
        config=replace(config, on_build=(), working_dir=working_dir),
        environment=environment,
        build_args=plan.build_args,
        global_args=plan.global_args,
        proxies=_proxies(plan.build_args),
        dockerfile=plan.dockerfile,
    )


def advance(state: StageState, instruction: Instruction) -> tuple[StageState, Resolved]:
    """Return the state after an instruction, and what it is. Raises `DockerfileError`."""
    words = _Words(state, instruction)
    try:
        after, resolved = _STEPS[type(instruction)](state, instruction, words)
        if isinstance(instruction, Arg | Env | Label):
            _check_size(after)
        return after, replace(resolved, unset=words.unset)
    except DockerfileError:
        raise
    except InvalidParameter as error:
        if state.dockerfile is None:
            raise
        raise state.dockerfile.error(str(error), instruction) from error


def history_text(resolved: Resolved) -> str:
    """Return what the history of an image says of an instruction, empty where it is not in there."""
    return resolved.history


def title(resolved: Resolved, environment: Mapping[str, str]) -> str:
    """Return how an instruction is called when progress is shown."""
    instruction = resolved.instruction
    text = instruction.text
    if isinstance(instruction, Run):
        if instruction.heredocs and isinstance(instruction.command, str) and parse_mark(instruction.command):
            text += f" ({_summary(instruction.heredocs[0].content)})"
        lexer = Lexer(instruction.escape, raw_quotes=True, keep_unset=True)
        secrets = {mount.env: "****" for mount in instruction.mounts if mount.type == "secret" and mount.env}
        environment = {**environment, **secrets}
    else:
        lexer = Lexer(instruction.escape)
    try:
        text = lexer.expand(text, environment).text
    except InvalidParameter:
        pass
    keyword, space, rest = text.partition(" ")
    return f"{keyword.upper()}{space}{rest}"


def _summary(document: str) -> str:
    """Return the first line of a here-document, with dots where there are more."""
    lines = document.strip().replace("\r\n", "\n").split("\n")
    return lines[0] + ("..." if len(lines) > 1 else "")


def _proxies(build_args: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies that the client gave, in both cases, as programs look for one or the other."""
    found: dict[str, str] = {}
    for name in sorted(build_args):
        if name.upper() in PROXIES:
            found |= {name.upper(): build_args[name], name.lower(): build_args[name]}
    return found


def _pair(entry: str) -> tuple[str, str]:
    name, _, value = entry.partition("=")
    return name, value


def _joined(directory: str, path: str) -> str:
    """Return a path of the container, absolute and without dots."""
    return f"/{posixpath.normpath(posixpath.join('/', directory, path)).lstrip('/')}"


def _destination(state: StageState, path: str) -> str:
    """Return where something is copied to, absolute, with the slash at its end that says that it is a directory."""
    is_directory = path in ("", ".") or path.endswith(("/", "/."))
    joined = _joined(state.working_dir, path)
    return f"{joined}/" if is_directory and joined != "/" else joined


class _Words:
    """Expands the words of one instruction, and keeps the variables that nothing says the value of."""

    def __init__(self, state: StageState, instruction: Instruction) -> None:
        self._lexer = Lexer(instruction.escape)
        self._environment = state.environment
        self._name = instruction.name
        self._declared = {name for name, _ in state.args}
        self._unset: set[str] = set()

    @property
    def unset(self) -> frozenset[str]:
        return frozenset(self._unset - self._declared)

    def one(self, word: str, environment: Mapping[str, str] | None = None) -> str:
        """Return what a word stands for, as one."""
        return self._expanded(self._lexer, word, environment).text

    def each(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return what words stand for, each as one."""
        return tuple(self.one(word) for word in words)

    def split(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return what words stand for; each may become several."""
        return tuple(part for word in words for part in self._expanded(self._lexer, word).words)

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """Return pairs of names and values. Raises `InvalidParameter` for one without a name."""
        expanded = tuple((self.one(name), self.one(value)) for name, value in pairs)
        if not all(name for name, _ in expanded):
            raise InvalidParameter(f"{self._name} names can not be blank")
        return expanded

    def document(self, heredoc: Heredoc) -> Heredoc:
        """Return a here-document as the file that it becomes."""
        text = heredoc.text
        if heredoc.expand:
            text = self._expanded(Lexer(literal_quotes=True, longest=_LARGEST), text).text
        return replace(heredoc, content=text, tabs=False)

    def _expanded(self, lexer: Lexer, word: str, environment: Mapping[str, str] | None = None) -> Expansion:
        found = lexer.expand(word, self._environment if environment is None else environment)
        self._unset |= found.unmatched
        return found


def _check_size(state: StageState) -> None:
    """Refuse variables and labels that grow without an end."""
    parts = (state.environment, state.environment.values(), state.config.labels, state.config.labels.values())
    if sum(sum(map(len, part)) for part in parts) > _LARGEST:
        raise InvalidParameter(f"the variables and labels have more than {_LARGEST} characters")


def _configured(state: StageState, resolved: Resolved, **changes: Any) -> tuple[StageState, Resolved]:
    return replace(state, config=replace(state.config, **changes)), resolved


def _united(old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old, *new)))


def _env(state: StageState, instruction: Env, words: _Words) -> tuple[StageState, Resolved]:
    pairs = words.pairs(instruction.pairs)
    env, environment = list(state.config.env), dict(state.environment)
    for name, value in pairs:
        prefix, place = f"{name}=", len(env)
        if name in environment:
            place = next((number for number, entry in enumerate(env) if entry.startswith(prefix)), place)
        env[place : place + 1] = [prefix + value]
        _set(environment, name, value)
    resolved = Resolved(replace(instruction, pairs=pairs), history.pairs("ENV", pairs))
    return _configured(replace(state, environment=environment), resolved, env=tuple(env))


def _set(environment: dict[str, str], name: str, value: str) -> None:
    """Give a variable a value; the last one that was set is the last one of all."""
    environment.pop(name, None)
    environment[name] = value


def _label(state: StageState, instruction: Label, words: _Words) -> tuple[StageState, Resolved]:
    pairs = words.pairs(instruction.pairs)
    resolved = Resolved(replace(instruction, pairs=pairs), history.pairs("LABEL", pairs))
    return _configured(state, resolved, labels={**state.config.labels, **dict(pairs)})


def _arg(state: StageState, instruction: Arg, words: _Words) -> tuple[StageState, Resolved]:
    pairs: list[tuple[str, str | None]] = []
    environment = dict(state.environment)
    for name, default in instruction.pairs:
        value: str | None
        if name in state.build_args:
            value = state.build_args[name]
        elif default is not None:
            value = words.one(default, environment)
        else:
            value = state.global_args.get(name)
        if value is not None:
            _set(environment, name, value)
        pairs.append((name, value))
    resolved = Resolved(replace(instruction, pairs=tuple(pairs)), history.arguments(pairs))
    return replace(state, environment=environment, args=(*state.args, *pairs)), resolved


def _workdir(state: StageState, instruction: Workdir, words: _Words) -> tuple[StageState, Resolved]:
    wanted = words.one(instruction.path)
    # What is absolute stays as it is written, with all its dots and slashes.
    path = wanted if wanted.startswith("/") else _joined(state.working_dir, wanted)
    made = _joined("/", path)
    resolved = Resolved(
        replace(instruction, path=made), f"WORKDIR {path}", makes_layer=made != "/", user=state.config.user
    )
    return _configured(state, resolved, working_dir=path)


def _user(state: StageState, instruction: User, words: _Words) -> tuple[StageState, Resolved]:
    user = words.one(instruction.user)
    return _configured(state, Resolved(replace(instruction, user=user), f"USER {user}"), user=user)


def _volume(state: StageState, instruction: Volume, words: _Words) -> tuple[StageState, Resolved]:
    paths = words.each(instruction.paths)
    if not all(paths):
        raise InvalidParameter("VOLUME specified can not be an empty string")
    resolved = Resolved(replace(instruction, paths=paths), f"VOLUME [{' '.join(paths)}]")
    return _configured(state, resolved, volumes=_united(state.config.volumes, paths))


def _expose(state: StageState, instruction: Expose, words: _Words) -> tuple[StageState, Resolved]:
    ports = tuple(port for word in words.split(sorted(instruction.ports)) for port in parse_ports(word))
    resolved = Resolved(replace(instruction, ports=ports), history.ports(ports))
    return _configured(state, resolved, exposed_ports=_united(state.config.exposed_ports, ports))


def _stopsignal(state: StageState, instruction: Stopsignal, words: _Words) -> tuple[StageState, Resolved]:
    signal = words.one(instruction.signal)
    parse_signal(signal)
    resolved = Resolved(replace(instruction, signal=signal), f"STOPSIGNAL {signal}")
    return _configured(state, resolved, stop_signal=signal)


def _shell(state: StageState, instruction: Shell, _: _Words) -> tuple[StageState, Resolved]:
    resolved = Resolved(instruction, f"SHELL [{' '.join(instruction.shell)}]")
    return _configured(state, resolved, shell=instruction.shell)


def _healthcheck(state: StageState, instruction: Healthcheck, _: _Words) -> tuple[StageState, Resolved]:
    resolved = Resolved(instruction, history.healthcheck(instruction.check))
    return _configured(state, resolved, healthcheck=instruction.check)


def _maintainer(state: StageState, instruction: Maintainer, _: _Words) -> tuple[StageState, Resolved]:
    return replace(state, author=instruction.maintainer), Resolved(instruction, f"MAINTAINER {instruction.maintainer}")


def _onbuild(state: StageState, instruction: Onbuild, _: _Words) -> tuple[StageState, Resolved]:
    return _configured(state, Resolved(instruction), on_build=(*state.config.on_build, instruction.trigger))


def _cmd(state: StageState, instruction: Cmd, _: _Words) -> tuple[StageState, Resolved]:
    arguments = _arguments(state, instruction.command)
    resolved = Resolved(instruction, history.command("CMD", arguments))
    return _configured(replace(state, has_command=True), resolved, cmd=arguments)


def _entrypoint(state: StageState, instruction: Entrypoint, _: _Words) -> tuple[StageState, Resolved]:
    arguments = _arguments(state, instruction.command)
    resolved = Resolved(instruction, history.command("ENTRYPOINT", arguments))
    # What the image ran was meant for its own entrypoint.
    cmd = state.config.cmd if state.has_command else None
    return _configured(state, resolved, entrypoint=arguments, cmd=cmd)


def _arguments(state: StageState, command: Sequence[str] | str) -> tuple[str, ...]:
    return (*state.shell, command) if isinstance(command, str) else tuple(command)


def _run(state: StageState, instruction: Run, words: _Words) -> tuple[StageState, Resolved]:
    command, script = _with_documents(instruction)
    arguments = _arguments(state, command)
    mounts = tuple(_mount(state, parse_mount(flag, words.one)) for flag in instruction.mount_flags)
    resolved = Resolved(
        replace(instruction, mounts=mounts),
        history.run(arguments, state.args, state.environment),
        makes_layer=True,
        arguments=arguments,
        environment=state.environment,
        proxies={name: value for name, value in state.proxies.items() if name not in state.environment},
        working_dir=state.working_dir,
        user=state.config.user,
        script=script,
    )
    return state, resolved


def _with_documents(instruction: Run) -> tuple[Sequence[str] | str, Heredoc | None]:
    """Return a command with its here-documents, and the one of them that is a program.

    A document alone is what the shell runs, or a program where it names its interpreter. All others are put back,
    for the shell to read.
    """
    command = instruction.command
    if not instruction.heredocs or not isinstance(command, str):
        return command, None
    first = instruction.heredocs[0]
    if parse_mark(command) is not None:
        if first.text.startswith("#!"):
            check_file_name(first.name)
            return f"{_SCRIPTS}/{first.name}", first
        return first.text, None
    return command + "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in instruction.heredocs), None


def _check_pattern(source: str) -> None:
    """Refuse a source that is a pattern, and means nothing."""
    if "://" in source or not has_wildcards(source):
        return
    try:
        Glob(source).matches("")
    except PatternError as error:
        raise InvalidParameter(str(error)) from error


def _mount(state: StageState, mount: RunMount) -> RunMount:
    """Return a mount with what is meant where nothing is said."""
    if mount.type == "secret":
        identifier = mount.source or mount.id or posixpath.basename(mount.target)
        target = mount.target or ("" if mount.env is not None else f"/run/secrets/{posixpath.basename(identifier)}")
        target = _joined(state.working_dir, target) if target else ""
        return replace(mount, id=identifier, source="", target=target)
    if mount.type == "ssh":
        return replace(mount, id=mount.id or "default", target=mount.target)
    target = _joined(state.working_dir, mount.target)
    if target == "/":
        raise InvalidParameter('invalid mount target "/"')
    mount = replace(mount, target=target, source=_joined("/", mount.source))
    if mount.type == "cache":
        return replace(mount, id=mount.id or target, sharing=mount.sharing or "shared")
    return mount


def _copy(state: StageState, instruction: Copy | Add, words: _Words) -> tuple[StageState, Resolved]:
    expanded: Copy | Add = replace(
        instruction,
        sources=words.each(instruction.sources),
        destination=words.one(instruction.destination),
        chown=words.one(instruction.chown),
        chmod=words.one(instruction.chmod),
        heredocs=tuple(words.document(heredoc) for heredoc in instruction.heredocs),
    )
    check_mode(expanded.chmod)
    for source in expanded.sources:
        _check_pattern(source)
    if isinstance(expanded, Add):
        expanded = replace(expanded, checksum=words.one(expanded.checksum))
        if expanded.checksum and len(expanded.sources) + len(expanded.heredocs) != 1:
            raise InvalidParameter("checksum can't be specified for multiple sources")
    elif remote := next(filter(_REMOTE.match, expanded.sources), None):
        kind = "URL" if remote.startswith("http") and not _REPOSITORY.search(remote) else "git ref"
        raise InvalidParameter(f"source can't be a {kind} for COPY")
    resolved = Resolved(
        replace(expanded, destination=_destination(state, expanded.destination)),
        history.transfer(expanded),
        makes_layer=True,
    )
    return state, resolved


_Step = Callable[[StageState, Any, _Words], tuple[StageState, Resolved]]
_STEPS: Final[Mapping[type[Instruction], _Step]] = {
    Add: _copy,
    Arg: _arg,
    Cmd: _cmd,
    Copy: _copy,
    Entrypoint: _entrypoint,
    Env: _env,
    Expose: _expose,
    Healthcheck: _healthcheck,
    Label: _label,
    Maintainer: _maintainer,
    Onbuild: _onbuild,
    Run: _run,
    Shell: _shell,
    Stopsignal: _stopsignal,
    User: _user,
    Volume: _volume,
    Workdir: _workdir,
}
