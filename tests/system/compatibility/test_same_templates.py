"""The same templates, given to the stock client and to our own for one container of Transom."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.daemon import Daemon
from transom_cli.main import main

_LINES = (Path(__file__).parent / "templates.txt").read_text().splitlines()
TEMPLATES = [line.replace("↵", "\n") for line in _LINES if not line.startswith("# ")]


@pytest.fixture(scope="module")
def container(daemon: Daemon, new_client: None) -> Iterator[str]:
    """A container with something in most of its fields; its name."""
    name = "shown"
    daemon.docker(
        "create", "--name", name, "--network", "none", "-l", "k=v", "-l", "a.b=c<d", "-e", "A=1", "-v", "/data",
        "--expose", "80", daemon.busybox, "sh", "-c", "a b",
    )  # fmt: skip
    yield name
    daemon.docker("rm", "-v", name)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_shows_what_the_stock_client_shows(
    daemon: Daemon, container: str, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-H", daemon.host, "inspect", "--type", "container", "-f", template, container]
    expected = subprocess.run(["docker", *arguments], capture_output=True, text=True, env=dict(daemon.environment()))
    status = main(arguments)
    found = capsys.readouterr()
    assert (found.out, found.err, status) == (expected.stdout, expected.stderr, expected.returncode)
