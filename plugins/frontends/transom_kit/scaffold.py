"""Projects of drivers, made from templates. A project is whole or not there."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

import click

from transom import __version__
from transom_kit.finding import KINDS

__all__ = ["write_project"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40


def write_project(kind: str, name: str, directory: Path) -> Path:
    """Write the project of a driver and return its directory.

    Raises `click.ClickException` for a kind that there is not, a name that cannot be, and a directory that exists.
    """
    if kind not in KINDS:
        raise click.ClickException(f"no drivers are of the kind {kind!r}: the kinds are {', '.join(KINDS)}")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise click.ClickException(
            f"a driver cannot be named {name!r}: write up to {_LONGEST} lower-case letters, digits and hyphens,"
            " beginning with a letter"
        )
    if os.path.lexists(directory):
        raise click.ClickException(f"{directory} exists already: choose another directory")
    module = f"transom_{name.replace('-', '_')}"
    words = {
        "kind": kind,
        "name": name,
        "module": module,
        "class_name": "".join(word.capitalize() for word in name.split("-")) + "Driver",
        "contract": f"{kind.capitalize()}Driver",
        "version": __version__,
    }
    templates = resources.files("transom_kit") / "templates"
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    except OSError as error:
        raise click.ClickException(f"cannot make {directory}: {error.strerror}") from error
    try:
        for source in ("common", kind):
            _copy(templates / source, scratch, words)
        scratch.chmod(0o755)
        scratch.rename(directory)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return directory


def _copy(source: Traversable, target: Path, words: dict[str, str]) -> None:
    """Copy a directory of templates; in the names of files, `module` and `name` stand for the words."""
    for entry in source.iterdir():
        name = entry.name.removesuffix(".template").replace("_module_", words["module"]).replace("_dot_", ".")
        if entry.is_dir():
            (target / name).mkdir(exist_ok=True)
            _copy(entry, target / name, words)
        else:
            (target / name).write_text(Template(entry.read_text()).substitute(words))
