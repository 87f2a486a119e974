"""Flags as the hands know them from Docker, on click's commands.

The conventions are those of the `pflag` library: `--name value`, `--name=value`, `-n value`, `-nvalue`,
`-n=value`, grouped short flags, booleans that take a value only after `=`, and `--` as the end of flags.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from transom_cli import values
from transom_cli.client import Client, version_key
from transom_cli.errors import CommandFailed, FlagError

__all__ = [
    "BOOL",
    "BYTES",
    "FILTER",
    "INT",
    "LIST",
    "STRING",
    "ApiCommand",
    "Flag",
    "Kind",
    "api_command",
    "defaults",
    "describe_flags",
    "flag",
    "parse_flags",
]


class Kind(NamedTuple):
    """What a flag takes: the word that help shows, and how a value is parsed (raises `ValueError`)."""

    label: str
    parse: Callable[[str], Any]
    multiple: bool = False


STRING = Kind("string", str)
INT = Kind("int", values.integer)
BOOL = Kind("", values.boolean)
LIST = Kind("list", str, multiple=True)
BYTES = Kind("bytes", values.size)
_Function = TypeVar("_Function", bound=Callable[..., None])
FILTER = Kind("filter", values.filter_pair, multiple=True)


class Flag(click.Option):
    """One flag. `since` is the API version that the daemon must have for it."""

    def __init__(
        self,
        declarations: Sequence[str],
        kind: Kind = STRING,
        *,
        default: Any = None,
        about: str = "",
        since: str = "",
    ) -> None:
        is_flag = kind.label == ""
        if default is None and is_flag:
            default = False
        super().__init__(
            declarations,
            is_flag=is_flag,
            multiple=kind.multiple,
            default=default,
            help=about,
            type=None if is_flag else click.UNPROCESSED,
        )
        self.kind = kind
        self.since = since
        self.initial: Any = () if kind.multiple and default is None else default

    @property
    def long(self) -> str:
        """The flag's long form, with its hyphens."""
        return next(option for option in self.opts if option.startswith("--"))

    @property
    def short(self) -> str:
        """The flag's short form, with its hyphen, or an empty string."""
        return next((option for option in self.opts if not option.startswith("--")), "")

    def parse(self, value: str, context: click.Context, written: str = "") -> Any:
        """Return the value of what was given, by the name that is `written`. Raises `FlagError`."""
        try:
            return self.kind.parse(value)
        except ValueError as error:
            name = f"{self.short}, {self.long}" if self.short else self.long
            if written.startswith("--") and written != self.long:
                name = written
            raise FlagError(f'invalid argument "{value}" for "{name}" flag: {error}', context) from error


def flag(
    *declarations: str,
    kind: Kind = STRING,
    default: Any = None,
    about: str = "",
    since: str = "",
) -> Callable[[_Function], _Function]:
    """Declare a flag of the command that the decorated function becomes."""

    def declare(function: _Function) -> _Function:
        found = Flag(declarations, kind, default=default, about=about, since=since)
        function.__dict__.setdefault("flags", []).append(found)
        return function

    return declare


class ApiCommand(click.Command):
    """A command that is called as `callback(client, arguments, **flags)` and whose flags are `Flag`s.

    `least` and `most` bound the number of arguments; `interspersed` says whether flags may follow the first. `absent`
    are flags that Docker has for what the engine does not do: they are refused in a sentence of their own.
    """

    def __init__(
        self,
        name: str,
        callback: Callable[..., Any],
        *,
        usage: str,
        about: str,
        flags: Sequence[Flag] = (),
        least: int = 0,
        most: int | None = 0,
        interspersed: bool = True,
        absent: Sequence[str] = (),
    ) -> None:
        super().__init__(name, callback=callback, help=about, params=list(flags), add_help_option=False)
        self.usage = usage
        self.least = least
        self.most = most
        self.interspersed = interspersed
        self.absent = frozenset(absent)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set the context's parameters and arguments. Raises `FlagError` or `CommandFailed`."""
        found, rest = parse_flags(self, ctx, args, self.interspersed)
        if found.pop("help", False):
            print(ctx.get_help())
            ctx.exit()
        self._check_count(ctx, len(rest))
        ctx.params = {**defaults(self), **found}
        ctx.args = rest
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Call the function. Raises `CommandFailed` if the daemon is too old for a flag that was given."""
        assert self.callback is not None
        client = ctx.obj
        for option in self.params:
            if isinstance(option, Flag) and option.since and ctx.params[str(option.name)] != option.initial:
                _require_version(client, option)
        if ctx.params.get("detach_keys", "") is None:
            ctx.params["detach_keys"] = client.setting("detachKeys") or None
        return self.callback(client, ctx.args, **ctx.params)

    def _check_count(self, ctx: click.Context, count: int) -> None:
        least, most = self.least, self.most
        if count >= least and (most is None or count <= most):
            return
        verb = "See" if most is None else "Run"
        if most == 0:
            wanted = "accepts no arguments"
        elif least == most:
            wanted = f"requires {least} {_plural(least)}"
        elif least and most is not None:
            wanted = f"requires at least {least} and at most {most} {_plural(most)}"
        elif count < least:
            wanted = f"requires at least {least} {_plural(least)}"
        else:
            wanted = f"requires at most {most} {_plural(most or 0)}"
        path = ctx.command_path
        program = path.partition(" ")[0]
        raise CommandFailed(
            f"{program}: '{path}' {wanted}\n\n{self.get_usage(ctx)}\n\n{verb} '{path} --help' for more information"
        )

    def get_usage(self, ctx: click.Context) -> str:
        """Return the line that starts with `Usage:`."""
        options = " [OPTIONS]" if self.params else ""
        return f"Usage:  {ctx.command_path}{options} {self.usage}".rstrip()

    def _aliases(self, ctx: click.Context) -> list[str]:
        """Return all the names of the command, with the program's, if it is one of the program's own."""
        from transom_cli.commands import COMMANDS, GROUPS, other_names  # for help alone

        program, _, path = ctx.command_path.partition(" ")
        group, _, name = path.rpartition(" ")
        if name not in (GROUPS.get(group, ()) if group else COMMANDS):
            return []
        return [f"{program} {other}" for other in other_names(path)]

    def get_help(self, ctx: click.Context) -> str:
        """Return the help, in Docker's layout."""
        parts = [self.get_usage(ctx), self.help or ""]
        aliases = self._aliases(ctx)
        if len(aliases) > 1:
            parts.append("Aliases:\n  " + ", ".join(aliases))
        options = describe_flags([option for option in self.params if isinstance(option, Flag)])
        if options:
            parts.append(f"Options:\n{options}")
        return "\n\n".join(parts)


def api_command(
    name: str,
    usage: str = "",
    *,
    about: str,
    least: int = 0,
    most: int | None = 0,
    interspersed: bool = True,
    absent: Sequence[str] = (),
) -> Callable[[Callable[..., None]], ApiCommand]:
    """Make the decorated function a command; its flags are declared by `flag` below this."""

    def make(function: Callable[..., None]) -> ApiCommand:
        return ApiCommand(
            name,
            function,
            usage=usage,
            about=about,
            flags=sorted(function.__dict__.get("flags", ()), key=lambda option: str(option.long)),
            least=least,
            most=most,
            interspersed=interspersed,
            absent=absent,
        )

    return make


def defaults(command: click.Command) -> dict[str, Any]:
    """Return the values of a command's flags where none is given, by parameter name."""
    return {str(option.name): option.initial for option in command.params if isinstance(option, Flag)}


def parse_flags(
    command: click.Command, context: click.Context, arguments: Sequence[str], interspersed: bool
) -> tuple[dict[str, Any], list[str]]:
    """Return the flags that were given, by parameter name, and the arguments that are left.

    `help` is among them where `--help` was given, and then nothing after it is looked at. Raises `FlagError`.
    """
    options = {name: option for option in command.params if isinstance(option, Flag) for name in option.opts}
    found: dict[str, Any] = {}
    rest: list[str] = []
    queue = list(arguments)
    while queue:
        argument = queue.pop(0)
        if argument == "--":
            rest += queue
            break
        if not argument.startswith("-") or argument == "-":
            rest.append(argument)
            if not interspersed:
                rest += queue
                break
        elif argument.startswith("--"):
            _long(argument, queue, options, found, context)
        else:
            _short(argument, queue, options, found, context)
        if "help" in found:
            break
    return found, rest


def _long(
    argument: str, queue: list[str], options: dict[str, Flag], found: dict[str, Any], context: click.Context
) -> None:
    """Take one argument that starts with two hyphens, and its value from the queue if it wants one."""
    name, equals, value = argument.partition("=")
    option = options.get(name)
    if option is None:
        if name == "--help":
            found["help"] = True
            return
        problem = f"unknown flag: {name}" if len(name) > 2 else f"bad flag syntax: {argument}"
        raise FlagError(_absence(name, context) or problem, context)
    if not equals:
        if option.is_flag:
            value = "true"
        elif queue:
            value = queue.pop(0)
        else:
            raise FlagError(f"flag needs an argument: {name}", context)
    _store(option, option.parse(value, context, name), found)


def _short(
    argument: str, queue: list[str], options: dict[str, Flag], found: dict[str, Any], context: click.Context
) -> None:
    """Take a group of short flags; one that wants a value takes the rest of it, or the next argument."""
    letters = argument[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        option = options.get(f"-{letter}")
        if option is None:
            if letter == "h":
                print("Flag shorthand -h has been deprecated, use --help")
                found["help"] = True
                return
            problem = f"unknown shorthand flag: '{letter}' in -{letter}{letters}"
            raise FlagError(_absence(f"-{letter}", context) or problem, context)
        if letters.startswith("=") and len(letters) > 1:
            value, letters = letters[1:], ""
        elif option.is_flag:
            value = "true"
        elif letters:
            value, letters = letters, ""
        elif queue:
            value = queue.pop(0)
        else:
            raise FlagError(f"flag needs an argument: '{letter}' in {argument}", context)
        _store(option, option.parse(value, context), found)


def _absence(name: str, context: click.Context) -> str:
    """Return what is said of a flag that only Docker has, or an empty string if that has it neither."""
    if isinstance(context.command, ApiCommand) and name in context.command.absent:
        return f"the option {name} is not supported by this engine: leave it out"
    return ""


def _store(option: Flag, value: Any, found: dict[str, Any]) -> None:
    name = str(option.name)
    if option.multiple:
        found[name] = (*found.get(name, ()), value)
    else:
        found[name] = value


def describe_flags(flags: Sequence[Flag]) -> str:
    """Return the flags as lines of help: short form, long form, kind of value, explanation."""
    import shutil  # for help alone

    width = shutil.get_terminal_size((80, 24)).columns - 1
    heads = []
    for option in flags:
        short = f"{option.short}, " if option.short else "    "
        heads.append(f"  {short}{option.long} {option.kind.label}".rstrip())
    column = max((len(head) for head in heads), default=0) + 3
    lines = []
    for head, option in zip(heads, flags, strict=True):
        text = option.help or ""
        if option.initial not in (None, False, (), "", 0):
            shown = f'"{option.initial}"' if isinstance(option.initial, str) else str(option.initial).lower()
            text += f" (default {shown})"
        elif option.kind.label == "map":
            text += " (default map[])"
        lines.append(f"{head:{column}}{_wrapped(text, column, width)}".rstrip())
    return "\n".join(lines)


#: Characters that a line may be longer, so that no short word stands alone.
_SLOP = 5


def _wrapped(text: str, column: int, width: int) -> str:
    """Return text in lines that begin at a column, broken where pflag breaks them."""
    if width - column < 24:
        column = 16
        first = "\n" + " " * column
        if width - column < 24:
            return text.replace("\n", first)
    else:
        first = ""
    length = width - column - _SLOP
    lines = []
    while text:
        end = len(text)
        if length + _SLOP <= len(text):
            blank = max(text.rfind(character, 0, length) for character in " \t\n")
            end = blank if blank > 0 else len(text)
        lines.append(text[:end])
        text = text[end + 1 :]
    return first + f"\n{' ' * column}".join(lines)


def _require_version(client: Client, option: Flag) -> None:
    if version_key(client.version) < version_key(option.since):
        raise CommandFailed(
            f'"{option.long}" requires API version {option.since}, but the Docker daemon API version is'
            f" {client.version}"
        )


def _plural(count: int) -> str:
    return "argument" if count == 1 else "arguments"
