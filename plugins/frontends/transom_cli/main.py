"""The command `transom`: its sub-commands, each loaded when it is called, and what becomes of failures."""

from __future__ import annotations

import atexit
import importlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from transom_cli.client import DEFAULT_HOST, Client
from transom_cli.commands import COMMANDS, GROUPS, SECTIONS, Entry
from transom_cli.errors import CommandFailed
from transom_cli.flags import BOOL, LIST, Flag, defaults, describe_flags, parse_flags
from transom_cli.transport import Address

__all__ = ["LazyGroup", "choose_host", "main", "root"]


class LazyGroup(click.Group):
    """A command with sub-commands, whose modules are imported when they are called."""

    def __init__(self, name: str, entries: Mapping[str, Entry], about: str, flags: Sequence[Flag] = ()) -> None:
        super().__init__(name, help=about, params=list(flags), add_help_option=False)
        self.entries = entries
        #: What plugins' commands in this group have before their names.
        self.prefix = "" if name == "transom" else f"{name} "

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's signature
        """Return the names of the sub-commands that are listed."""
        return [name for name, entry in self.entries.items() if entry.section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a sub-command, imported, or None if there is none of the name.

        Plugins are loaded where no built-in command has the name.
        """
        entry = self.entries.get(cmd_name)
        if entry is None:
            return _plugin_commands().get(self.prefix + cmd_name)
        if not entry.module:
            return LazyGroup(cmd_name, GROUPS[cmd_name], entry.help)
        found: click.Command = getattr(importlib.import_module(f"transom_cli.{entry.module}"), entry.attribute)
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set the group's own flags; what follows the first argument belongs to the sub-command."""
        found, rest = parse_flags(self, ctx, args, interspersed=False)
        if found.pop("help", False):
            print(self.get_help(ctx))
            ctx.exit()
        ctx.params = {**defaults(self), **found}
        ctx.args = rest
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Call the sub-command. Raises `CommandFailed` if there is none of the name."""
        arguments = list(ctx.args)
        if not arguments:
            print(self.get_help(ctx), file=sys.stderr)
            return None
        if arguments == ["--help"]:
            print(self.get_help(ctx))
            return None
        name = arguments[0]
        command = self.get_command(ctx, name)
        if command is None:
            raise self._unknown(ctx, name)
        with ctx, command.make_context(name, arguments[1:], parent=ctx) as inner:
            return command.invoke(inner)

    def _unknown(self, ctx: click.Context, name: str) -> CommandFailed:
        path = ctx.command_path
        usage = f"{self.get_usage(ctx)}\n\n" if ctx.parent else ""
        program = path.partition(" ")[0]
        return CommandFailed(
            f"{program}: unknown command: {path} {name}\n\n{usage}Run '{path} --help' for more information"
        )

    def get_usage(self, ctx: click.Context) -> str:
        """Return the line that starts with `Usage:`."""
        options, arguments = (" [OPTIONS]", " [ARG...]") if self.params else ("", "")
        return f"Usage:  {ctx.command_path}{options} COMMAND{arguments}"

    def get_help(self, ctx: click.Context) -> str:
        """Return the help: the commands by section, and the flags."""
        parts = [self.get_usage(ctx).removesuffix(" [ARG...]"), self.help or ""]
        entries = self.listed()
        width = max(len(name) for name in entries) + 2
        for section in SECTIONS:
            lines = [f"  {name:{width}}{entry.help}" for name, entry in entries.items() if entry.section == section]
            if lines:
                parts.append("\n".join([f"{section}:", *lines]))
        if self.params:
            parts.append("Global Options:\n" + describe_flags([item for item in self.params if isinstance(item, Flag)]))
        parts.append(f"Run '{ctx.command_path} COMMAND --help' for more information on a command.")
        return "\n\n".join(parts)

    def listed(self) -> dict[str, Entry]:
        """Return the commands that the help lists, with those of plugins (hook `transom_commands`)."""
        plugins = {
            path.removeprefix(self.prefix): Entry("", "", command.get_short_help_str(100), SECTIONS[-1])
            for path, command in sorted(_plugin_commands().items())
            if path.startswith(self.prefix) and " " not in path.removeprefix(self.prefix)
        }
        return {**plugins, **{name: entry for name, entry in self.entries.items() if entry.section}}


class Root(LazyGroup):
    """The command itself."""

    def invoke(self, ctx: click.Context) -> Any:
        """Make the client that the commands find as the context's object, and call the sub-command."""
        if ctx.params["version"] and not ctx.args:
            from transom import __version__  # the package loads the hooks: not for every command

            print(f"Transom version {__version__}")
            return None
        if ctx.params["log_level"].lower() not in _LOG_LEVELS:
            raise CommandFailed(f"Unable to parse logging level: {ctx.params['log_level']}")
        chosen = choose_host(ctx.params)
        directory = ctx.params["config"] or _default_directory()
        ctx.obj = Client(chosen, directory=directory) if chosen else Client(DEFAULT_HOST, _start_daemon, directory)
        if ctx.args[:1] == ["help"]:
            return self._help(ctx, ctx.args[1:])
        return super().invoke(ctx)

    def _help(self, ctx: click.Context, names: Sequence[str]) -> None:
        """Print the help of the command that the names lead to, as far as they do."""
        command: click.Command = self
        for index, name in enumerate(names):
            found = command.get_command(ctx, name) if isinstance(command, LazyGroup) else None
            if found is None:
                if not index:
                    raise CommandFailed(f"unknown help topic: {' '.join(names)}")
                break
            command, ctx = found, click.Context(found, parent=ctx, info_name=name)
        print(command.get_help(ctx))


#: What `--log-level` may be. This client writes no log: the two that say everything show what `--debug` shows.
_LOG_LEVELS = ("trace", "debug", "info", "warn", "warning", "error", "fatal", "panic")
_VERBOSE = _LOG_LEVELS[:2]
_TLS = ("tls", "tlscacert", "tlscert", "tlskey", "tlsverify")


def choose_host(flags: Mapping[str, Any]) -> str:
    """Return the address that the flags and the environment choose, empty for the default one.

    Raises `CommandFailed` for a context that is not the default one, and for TLS.
    """
    hosts, context = flags["host"], flags["context"]
    if len(hosts) > 1:
        raise CommandFailed("Specify only one -H")
    if hosts and context:
        raise CommandFailed("conflicting options: cannot specify both --host and --context")
    chosen: str = hosts[0] if hosts else "" if context else os.environ.get("DOCKER_HOST", "")
    context = context or ("" if chosen else os.environ.get("DOCKER_CONTEXT", ""))
    if context not in (None, "", "default"):
        raise CommandFailed(
            f'context "{context}" is not known: the only one is "default"; choose a daemon with --host or DOCKER_HOST'
        )
    wanted = [f"--{name}" for name in _TLS if flags[name]]
    if os.environ.get("DOCKER_TLS_VERIFY") and "://" in chosen and not chosen.startswith("unix:"):
        wanted.append("DOCKER_TLS_VERIFY")
    if wanted:
        raise CommandFailed(
            f"{wanted[0]} is not supported, as connections have no TLS here: reach the socket of another machine"
            " through ssh -L"
        )
    return chosen


def _default_directory() -> str:
    home = os.environ.get("HOME", "")
    return os.environ.get("DOCKER_CONFIG") or (f"{home}/.docker" if home else "")


def _start_daemon(address: Address) -> None:
    from transom_cli.autostart import start_daemon  # rarely needed

    start_daemon(address)


def _plugin_commands() -> dict[str, click.Command]:
    """Return the commands that plugins give, by name, with that of the group before it for one that is in a group."""
    from transom.plugins import Plugins

    return {str(command.name): command for command, _ in Plugins().gather("transom_commands")}


root = Root(
    "transom",
    COMMANDS,
    "A Docker-compatible container engine in which every driver is a plugin",
    [
        Flag(["--config"], about="Location of client config files (also DOCKER_CONFIG)"),
        Flag(["--context", "-c"], about='Name of the context to use: the only one is "default" (also DOCKER_CONTEXT)'),
        Flag(["--debug", "-D"], BOOL, about="Show where in the program a failure comes from"),
        Flag(["--host", "-H"], LIST, about="Daemon socket to connect to (also DOCKER_HOST)"),
        Flag(
            ["--log-level", "-l"],
            default="info",
            about='Set the logging level ("debug", "info", "warn", "error", "fatal"); "debug" is as --debug',
        ),
        Flag(["--tls"], BOOL, about="Refused, as the next four: connections have no TLS here"),
        Flag(["--tlscacert"], about="Trust certs signed only by this CA"),
        Flag(["--tlscert"], about="Path to TLS certificate file"),
        Flag(["--tlskey"], about="Path to TLS key file"),
        Flag(["--tlsverify"], BOOL, about="Use TLS and verify the remote"),
        Flag(["--version", "-v"], BOOL, about="Print version information and quit"),
    ],
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status. Without `arguments` it is the process's own, which then ends."""
    if arguments is None:
        _end(_run(sys.argv[1:]))
    return _run(arguments)


def _end(status: int) -> NoReturn:
    """End the process without taking the interpreter apart, which takes longer than some commands do."""
    # What waits for the end of the process, as multiprocessing has it for its own; no thread here does.
    atexit._run_exitfuncs()
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except BrokenPipeError:
        _die_of_a_closed_pipe()
    os._exit(status)


def _run(arguments: Sequence[str]) -> int:
    debug = False
    try:
        with root.make_context("transom", list(arguments)) as context:
            debug = context.params["debug"] or context.params["log_level"].lower() in _VERBOSE
            root.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as failure:
        sys.stdout.flush()
        if debug:
            import traceback  # takes longer to import than a command takes to fail

            traceback.print_exc()
        failure.show()
        return failure.exit_status if isinstance(failure, CommandFailed) else failure.exit_code
    except (KeyboardInterrupt, click.Abort):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        _die_of_a_closed_pipe()
    return 0


def _die_of_a_closed_pipe() -> None:
    """End as any other program does whose reader has gone."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
