"""The ways in which a command fails, and the exit status of each.

They are click's exceptions and not `transom.errors`: a client imports nothing of the engine.
"""

from __future__ import annotations

import sys
from typing import IO, Any

import click

__all__ = ["CommandFailed", "DaemonError", "FlagError", "Unreachable", "report_failures"]


class CommandFailed(click.ClickException):
    """A failure with a message for standard error, shown as it is; `exit_status` becomes the command's."""

    def __init__(self, message: str, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status

    def show(self, file: IO[Any] | None = None) -> None:
        if self.message:
            print(self.message, file=file or sys.stderr)


class FlagError(CommandFailed):
    """A flag that does not exist or has a value that cannot be parsed; exit status 125."""

    def __init__(self, message: str, context: click.Context) -> None:
        path = context.command_path
        usage = context.command.get_usage(context)
        super().__init__(f"{message}\n\n{usage}\n\nRun '{path} --help' for more information", 125)


class DaemonError(CommandFailed):
    """The daemon's answer is an error; `status` is the HTTP status, `reason` the daemon's own words."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"Error response from daemon: {reason}")
        self.status = status
        self.reason = reason


class Unreachable(CommandFailed):
    """Nothing answers at the daemon's address, or it hung up in the middle of an answer."""


def report_failures(failures: list[CommandFailed]) -> None:
    """Show each failure on its own line of standard error; end the command with 1 if there was one."""
    for failure in failures:
        failure.show()
    if failures:
        raise CommandFailed("")
