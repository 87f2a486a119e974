"""`stop`, `restart`, `kill`, `pause`, `unpause`, `rm` and `wait`: one request for each container that is named."""

from __future__ import annotations

from collections.abc import Callable

from transom_cli.client import Client
from transom_cli.errors import CommandFailed, DaemonError, Unreachable, report_failures
from transom_cli.flags import BOOL, INT, api_command, flag

__all__ = ["for_each", "kill", "pause", "restart", "rm", "stop", "unpause", "wait"]

_MANY = "CONTAINER [CONTAINER...]"


def for_each(names: list[str], act: Callable[[str], object]) -> None:
    """Do something with each name and print it; go on after a failure, and end with 1 if there was one."""
    failures: list[CommandFailed] = []
    for name in names:
        try:
            act(name)
            print(name, flush=True)
        except Unreachable:
            raise
        except CommandFailed as failure:
            failures.append(failure)
    report_failures(failures)


@api_command("stop", _MANY, about="Stop one or more running containers", least=1, most=None)
@flag("--signal", "-s", about="Signal to send to the container")
@flag("--timeout", "--time", "-t", kind=INT, about="Seconds to wait before killing the container")
def stop(client: Client, arguments: list[str], *, signal: str | None, timeout: int | None) -> None:
    """Stop containers."""
    for_each(arguments, lambda name: client.post(f"/containers/{name}/stop", t=timeout, signal=signal))


@api_command("restart", _MANY, about="Restart one or more containers", least=1, most=None)
@flag("--signal", "-s", about="Signal to send to the container")
@flag("--timeout", "--time", "-t", kind=INT, about="Seconds to wait before killing the container")
def restart(client: Client, arguments: list[str], *, signal: str | None, timeout: int | None) -> None:
    """Stop containers and start them again."""
    for_each(arguments, lambda name: client.post(f"/containers/{name}/restart", t=timeout, signal=signal))


@api_command("kill", _MANY, about="Kill one or more running containers", least=1, most=None)
@flag("--signal", "-s", about="Signal to send to the container")
def kill(client: Client, arguments: list[str], *, signal: str | None) -> None:
    """Send a signal to containers; SIGKILL if none is named."""
    for_each(arguments, lambda name: client.post(f"/containers/{name}/kill", signal=signal))


@api_command("pause", _MANY, about="Pause all processes within one or more containers", least=1, most=None)
def pause(client: Client, arguments: list[str]) -> None:
    """Stop the processes of containers where they are."""
    for_each(arguments, lambda name: client.post(f"/containers/{name}/pause"))


@api_command("unpause", _MANY, about="Unpause all processes within one or more containers", least=1, most=None)
def unpause(client: Client, arguments: list[str]) -> None:
    """Let the processes of paused containers go on."""
    for_each(arguments, lambda name: client.post(f"/containers/{name}/unpause"))


@api_command("rm", _MANY, about="Remove one or more containers", least=1, most=None)
@flag("--force", "-f", kind=BOOL, about="Force the removal of a running container (uses SIGKILL)")
@flag("--link", "-l", kind=BOOL, about="Remove the specified link")
@flag("--volumes", "-v", kind=BOOL, about="Remove anonymous volumes associated with the container")
def rm(client: Client, arguments: list[str], *, force: bool, link: bool, volumes: bool) -> None:
    """Remove containers. With `--force`, that one is not there is said and is no failure."""
    failures: list[CommandFailed] = []
    for argument in arguments:
        name = argument.strip("/")
        try:
            if not name:
                raise CommandFailed("container name cannot be empty")
            client.delete(f"/containers/{name}", v=volumes, force=force, link=link)
            print(argument, flush=True)
        except Unreachable:
            raise
        except CommandFailed as failure:
            if force and isinstance(failure, DaemonError) and failure.status == 404:
                failure.show()
            else:
                failures.append(failure)
    report_failures(failures)


@api_command(
    "wait",
    _MANY,
    about="Block until one or more containers stop, then print their exit codes",
    least=1,
    most=None,
)
def wait(client: Client, arguments: list[str]) -> None:
    """Wait for containers, one after the other, and print their exit codes."""
    failures: list[CommandFailed] = []
    for name in arguments:
        try:
            print(client.post(f"/containers/{name}/wait")["StatusCode"], flush=True)
        except DaemonError as failure:
            failures.append(failure)
    report_failures(failures)
