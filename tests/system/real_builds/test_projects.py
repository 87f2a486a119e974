"""Projects of real size are built by our client and by the stock one, and what was built works."""

from __future__ import annotations

import json
import re
import urllib.request

import pytest

from testbed.daemon import Daemon
from testbed.projects import PAGE, PROJECTS, SERVICE, TOOL, Workbench
from testbed.registry import free_port
from testbed.waiting import wait_for

pytestmark = pytest.mark.exhaustive

#: Seconds for a build on a busy machine.
PATIENCE = 1200


@pytest.fixture(scope="module")
def built(yard: Daemon, workbench: Workbench) -> Daemon:
    """The daemon that has built all projects."""
    for project in PROJECTS:
        yard.transom(*workbench.command(project), timeout=PATIENCE)
    return yard


def fetch(port: int, path: str) -> str:
    """Return what a server on this machine answers, when there is one."""
    answers: list[str] = []

    def answered() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                answers.append(answer.read().decode())
        except OSError:
            return False
        return True

    wait_for(answered)
    return answers[0]


def test_a_web_service_answers_on_a_published_port(built: Daemon) -> None:
    port = free_port()
    container = built.transom("run", "-d", "-p", f"127.0.0.1:{port}:8000", "-e", "GREETING=ahoy", SERVICE)
    name = container.stdout.strip()
    assert json.loads(fetch(port, "/greet/you")) == {"greeting": "ahoy you", "user": 999}
    wait_for(lambda: built.transom("inspect", "-f", "{{.State.Health.Status}}", name).stdout == "healthy\n")
    built.transom("stop", name)
    assert built.transom("inspect", "-f", "{{.State.ExitCode}}", name).stdout == "0\n"
    assert "Handling signal: term" in built.transom("logs", name).stderr


def test_a_tool_runs_alone_in_a_small_image(built: Daemon) -> None:
    assert built.transom("run", "--rm", TOOL).stdout == "2 3 5 7 11 13 17 19 23 29\n"
    assert built.transom("run", "--rm", TOOL, "-v").stdout == "Lua, built in a container\n"
    found = json.loads(built.transom("image", "inspect", TOOL).stdout)[0]
    assert len(found["RootFS"]["Layers"]) == 2
    assert found["Size"] < 3_000_000


@pytest.mark.skipif(PAGE not in PROJECTS, reason="npm is not installed")
def test_a_page_is_served_with_what_the_bundler_made(built: Daemon) -> None:
    port = free_port()
    built.transom("run", "-d", "-p", f"{port}:8080", PAGE)
    page = fetch(port, "/")
    [script] = re.findall(r'src="(/assets/[^"]+\.js)"', page)
    [style] = re.findall(r'href="(/assets/[^"]+\.css)"', page)
    assert "total: " in fetch(port, script)
    assert "sans-serif" in fetch(port, style)


@pytest.mark.parametrize("project", PROJECTS)
def test_the_stock_client_builds_the_same_image(built: Daemon, workbench: Workbench, project: str) -> None:
    def identity() -> str:
        return built.docker("image", "inspect", "-f", "{{.Id}}", project).stdout

    expected = identity()
    done = built.docker(*workbench.command(project), timeout=PATIENCE)
    assert " ---> Using cache\n" in done.stdout
    assert done.stdout.endswith(f"Successfully tagged {project}:latest\n")
    assert identity() == expected
