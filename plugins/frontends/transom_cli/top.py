"""`top` and `port`: what runs in a container, and how it is reached."""

from __future__ import annotations

from typing import Any

from transom_cli import values
from transom_cli.client import Client
from transom_cli.errors import CommandFailed
from transom_cli.flags import api_command
from transom_cli.tables import natural_key, print_table

__all__ = ["port", "top"]


@api_command(
    "top",
    "CONTAINER [ps OPTIONS]",
    about="Display the running processes of a container",
    least=1,
    most=None,
    interspersed=False,
)
def top(client: Client, arguments: list[str]) -> None:
    """Print the processes of a container, in the columns that options of ps ask for."""
    name, *options = arguments
    found = client.get(f"/containers/{name}/top", ps_args=" ".join(options))
    print_table([found["Titles"], *(found["Processes"] or [])], minimum=20)


@api_command(
    "port",
    "CONTAINER [PRIVATE_PORT[/PROTO]]",
    about="List port mappings or a specific mapping for the container",
    least=1,
    most=2,
)
def port(client: Client, arguments: list[str]) -> None:
    """Print where a container's ports are published, or one of them."""
    name, wanted = arguments[0], "".join(arguments[1:])
    published = client.get(f"/containers/{name}/json")["NetworkSettings"].get("Ports") or {}
    if wanted:
        lines = [_address(binding) for binding in published.get(_port(wanted)) or []]
        if not lines:
            raise CommandFailed(f"Error: No public port '{wanted}' published for {name}")
    else:
        lines = [
            f"{inner} -> {_address(binding)}" for inner, bindings in published.items() for binding in bindings or []
        ]
    for line in sorted(lines, key=natural_key):
        print(line)


def _port(text: str) -> str:
    """Return a port as the API names it. Raises `CommandFailed`."""
    number, _, protocol = text.partition("/")
    try:
        values.unsigned_16(number)
    except ValueError as error:
        raise CommandFailed(f"Error: invalid port ({number}): {error}") from error
    return f"{number}/{protocol or 'tcp'}"


def _address(binding: dict[str, Any]) -> str:
    host = binding["HostIp"]
    return f"[{host}]:{binding['HostPort']}" if ":" in host else f"{host}:{binding['HostPort']}"
