"""The Dockerfile of a build and what its context leaves out, as the client has sent them."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from transom.dockerfile.ignore import PatternError, Patterns, ignore_names
from transom.errors import InvalidParameter
from transom.runtime.syscalls.files import openat2
from transom_builder.contexts import Contexts, read_file
from transom_builder.options import BuildOptions

__all__ = ["Recipe", "read_recipe", "take_away"]


@dataclass(frozen=True)
class Recipe:
    """A Dockerfile's content, the name that errors call it by, and what its context leaves out, if that is known.

    `beside` is the path of the file that says so.
    """

    content: bytes
    name: str
    ignored: Patterns | None = None
    beside: str = ""


def read_recipe(contexts: Contexts, options: BuildOptions) -> Recipe:
    """Read the Dockerfile, and the file beside it that says what is left out, when they are there.

    Raises `InvalidParameter`.
    """
    content = contexts.dockerfile()
    beside, ignored = _read_ignored(contexts.beginning(), options.dockerfile)
    return Recipe(content, PurePosixPath(options.dockerfile).name, ignored, beside)


def take_away(contexts: Contexts, options: BuildOptions, recipe: Recipe) -> None:
    """Take away from the context what does not belong to it.

    Clients leave out what is to be left out, but for the Dockerfile and the file that says so, which the builder needs:
    both are sent in any case, in their places, or in the directory `options.hidden`. Raises `InvalidParameter`.
    """
    root = contexts.main().root
    if options.hidden:
        shutil.rmtree(root / _hidden(options.hidden))
    elif recipe.ignored is not None:
        for path in (options.dockerfile, recipe.beside):
            clean = str(PurePosixPath("/", path)).lstrip("/")
            if recipe.ignored.matches(clean):
                _remove(root, clean)


def _remove(root: Path, path: str) -> None:
    """Remove a file beneath a root, wherever the links on the way to it lead; what is no file stays."""
    above, _, name = path.rpartition("/")
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        directory = openat2(top, f"/{above}", os.O_PATH | os.O_DIRECTORY)
        try:
            if stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=directory)
        finally:
            os.close(directory)
    except (FileNotFoundError, NotADirectoryError):
        pass
    finally:
        os.close(top)


def _hidden(name: str) -> str:
    """Return the name of the hidden directory. Raises `InvalidParameter` for what could lead elsewhere."""
    if "/" in name or name in (".", ".."):
        raise InvalidParameter(f"invalid value {name!r} for hidden: it should be a name in the context")
    return name


def _read_ignored(root: Path, dockerfile: str) -> tuple[str, Patterns | None]:
    """Return the file that says what is left out of a context, and what it says; None if nothing says so."""
    for name in ignore_names(dockerfile):
        try:
            content = read_file(root, name)
        except InvalidParameter:
            continue
        try:
            return name, Patterns.parse(content.decode("utf-8", "surrogateescape"))
        except PatternError as error:
            raise InvalidParameter(f"failed to parse {name}: {error}") from error
    return "", None
