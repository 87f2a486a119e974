"""Help is Docker's: usage lines, names of commands, and how flags are written. Explanations are in our own words."""

from __future__ import annotations

import re
import subprocess

import pytest

from compatibility_table import own_flags
from transom_cli.commands import other_names
from transom_cli.main import main

_FLAG = re.compile(r"^ +(?:(-\w), )?(--[\w-]+)(?: (\S+))?(?: {2,}|$)", re.MULTILINE)
#: Commands that Docker does not have; so are all about drivers.
_OWN = ("completion", "daemon", "image layers")
#: Commands whose usage does not say that they have options, although they have.
_WITHOUT_OPTIONS = ("builder prune", "network rm")
COMMANDS = sorted(
    {name for path in own_flags() if not (name := other_names(path)[0]).startswith("driver ")} - set(_OWN)
)


def _shown(text: str) -> tuple[str, str, dict[str, tuple[str, str]]]:
    """Return a help's usage, the command's names, and the short form and kind of value of each flag."""
    usage = text.split("\n\n")[0]
    aliases = re.search(r"^Aliases:\n(.+)$", text, re.MULTILINE)
    flags = {match[2]: (match[1] or "", match[3] or "") for match in _FLAG.finditer(text)}
    return usage, aliases[1] if aliases else "", flags


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_as_the_stock_clients(new_client: None, capsys: pytest.CaptureFixture[str], command: str) -> None:
    stock = subprocess.run(["docker", *command.split(), "--help"], capture_output=True, text=True, check=True).stdout
    assert main([*command.split(), "--help"]) == 0
    if command in _WITHOUT_OPTIONS:
        stock = stock.replace(f"docker {command}", f"docker {command} [OPTIONS]", 1)
    usage, names, flags = _shown(stock.replace("docker", "transom"))
    found_usage, found_names, found_flags = _shown(capsys.readouterr().out)
    assert (found_usage, found_names) == (usage, names)
    shared = flags.keys() & found_flags.keys()
    assert {name: found_flags[name] for name in shared} == {name: flags[name] for name in shared}
