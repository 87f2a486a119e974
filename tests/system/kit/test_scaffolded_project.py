"""What a scaffolded project says of itself is so: its README's commands and its workflow do what they should."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from testbed.bare import on_a_bare_machine
from testbed.host import outside
from transom_kit.scaffold import write_project

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with Transom itself, as an index would have it."""
    directory = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", directory, ROOT]
    subprocess.run(command, check=True, timeout=300)
    return directory


def shell(project: Path, wheels: Path, line: str) -> str:
    """Run a line of a shell in a project, with its own environment; what installs has the machine's network."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "PYTHON"))},
        "PIP_FIND_LINKS": f"{wheels} {os.environ.get('PIP_FIND_LINKS', '')}".strip(),
        "PATH": f"{project}/.venv/bin:{os.environ['PATH']}",
    }
    command = ["sh", "-c", line]
    if "pip install" in line:
        command = outside(*command)
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{line}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.exhaustive
def test_the_workflow_installs_the_driver_and_runs_its_tests(tmp_path: Path, wheels: Path) -> None:
    project = write_project("log", "paper", tmp_path / "paper")
    workflow = yaml.safe_load((project / ".github/workflows/test.yml").read_text())
    lines = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    (packages, *others) = lines
    # They are installed here as `tests/packages` says; that there are such is looked up.
    for package in packages.partition("--yes ")[2].split():
        subprocess.run(["apt-cache", "show", package], check=True, stdout=subprocess.DEVNULL)
    said = [shell(project, wheels, line.replace("sudo ", "")) for line in others]
    assert re.search(r"\d+ passed", said[-1])


@pytest.mark.exhaustive
def test_the_readme_is_true(tmp_path: Path, wheels: Path) -> None:
    project = write_project("volume", "shelf", tmp_path / "shelf")
    shell(project, wheels, "python3 -m venv .venv")
    readme = (project / "README.md").read_text()
    lines = [line.strip() for line in readme.splitlines() if line.startswith("    ")]
    assert [line.split()[0] for line in lines] == ["pip", "transom", "pip", "pytest", "transom"]
    shell(project, wheels, lines[0])
    listed = on_a_bare_machine(lines[1], project / ".venv/bin")
    assert listed.returncode == 0, listed.stderr
    said = [shell(project, wheels, line) for line in lines[2:]]
    assert re.search(r"volume +shelf +transom-shelf 0\.1\.0", listed.stdout)
    assert re.search(r"\d+ passed", said[1])
    assert "keeps its contract" in said[2]
