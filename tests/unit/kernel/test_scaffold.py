"""Projects of drivers: whole or not there."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from transom_kit.commands import new
from transom_kit.finding import KINDS
from transom_kit.scaffold import write_project


@pytest.mark.parametrize("kind", KINDS)
def test_a_project_is_complete(tmp_path: Path, kind: str) -> None:
    made = write_project(kind, "two-words", tmp_path / "made")
    project = tomllib.loads((made / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["transom"] == {"two-words": "transom_two_words"}
    assert {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()} == {
        ".github/workflows/test.yml",
        "README.md",
        "pyproject.toml",
        "tests/test_driver.py",
        "transom_two_words/__init__.py",
        "transom_two_words/driver.py",
        "transom_two_words/py.typed",
    }
    for module in made.rglob("*.py"):
        ast.parse(module.read_text())
    assert "class TwoWordsDriver(" in (made / "transom_two_words" / "driver.py").read_text()
    assert "$" not in "".join(path.read_text() for path in made.rglob("*.*") if path.is_file())
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("paint", "red", "no drivers are of the kind 'paint': the kinds are graph, exec, volume, network, log"),
        ("graph", "", "a driver cannot be named ''"),
        ("graph", "9lives", "a driver cannot be named '9lives'"),
        ("graph", "../up", "a driver cannot be named '../up'"),
        ("graph", "Red", "a driver cannot be named 'Red'"),
        ("graph", "a-", "a driver cannot be named 'a-'"),
        ("graph", "a" * 41, "write up to 40 lower-case letters"),
        ("graph", "there", "exists already: choose another directory"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is(tmp_path: Path, kind: str, name: str, message: str) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(click.ClickException, match=message):
        write_project(kind, name, tmp_path / "there" if name == "there" else tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert list((tmp_path / "there").iterdir()) == []


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match=r"cannot make .*: No such file or directory"):
        write_project("graph", "red", tmp_path / "missing" / "made")


def test_a_project_is_named_for_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "transom driver test red" in CliRunner().invoke(new, ["log", "red"]).output
    assert (tmp_path / "transom-red" / "transom_red" / "driver.py").exists()


def check(tool: str, *arguments: str, directory: Path) -> None:
    """Run a tool of the development environment, which finds nothing to complain of."""
    done = subprocess.run([sys.executable, "-m", tool, *arguments], cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def write_all(directory: Path) -> list[Path]:
    return [write_project(kind, f"made-{kind}", directory / kind) for kind in KINDS]


def test_projects_are_written_as_linters_want_them(tmp_path: Path) -> None:
    projects = [str(project) for project in write_all(tmp_path)]
    check("ruff", "check", "--no-cache", *projects, directory=tmp_path)
    check("ruff", "format", "--no-cache", "--check", *projects, directory=tmp_path)


@pytest.mark.exhaustive
def test_projects_are_typed_in_full(tmp_path: Path) -> None:
    for project in write_all(tmp_path):
        check("mypy", "--strict", str(next(project.glob("transom_*"))), "tests", directory=project)
