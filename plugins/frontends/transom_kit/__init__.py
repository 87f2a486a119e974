"""The driver kit: `driver new` writes the project of a driver, `driver test` says whether one keeps its contract."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from transom import hookimpl

if TYPE_CHECKING:
    import click

__all__ = ["transom_commands"]


@hookimpl
def transom_commands() -> Iterable[click.Command]:
    from transom_kit import commands

    return [commands.new, commands.test]
