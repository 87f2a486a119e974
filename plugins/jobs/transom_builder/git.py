"""Git repositories: what is in one at a branch, a tag or a commit.

The program `git` is used, with no configuration but ours: nothing of the repository is run, and only protocols of the
network are spoken.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from transom.errors import InvalidParameter, NotFound, Unavailable
from transom.graph.trees import DIRECTORY, remove_entry

__all__ = ["Repository", "fetch", "is_repository", "parse_repository"]

_SCP = re.compile(r"[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:.+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
#: Seconds between two looks whether the build goes on.
_TURN = 0.1
_LONGEST_COMPLAINT = 2000
_SAFE = (
    "-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never", "-c", "protocol.file.allow=never",
    "-c", "core.fsmonitor=false", "-c", "advice.detachedHead=false", "-c", "init.defaultBranch=main",
    "-c", "core.symlinks=true", "-c", "submodule.recurse=false",
)  # fmt: skip


@dataclass(frozen=True)
class Repository:
    """A repository at a place: `reference` is a branch, tag or commit, empty for its default; `directory` is a part."""

    url: str
    reference: str = ""
    directory: str = ""


def is_repository(source: str) -> bool:
    """Return whether a source is a Git repository, by the forms that Docker knows."""
    bare = source.partition("#")[0]
    if source.startswith(("git://", "github.com/")) or (_SCP.fullmatch(bare) and "://" not in source):
        return True
    return source.startswith(("http://", "https://", "ssh://")) and bare.rstrip("/").endswith(".git")


def parse_repository(source: str) -> Repository:
    """Return the repository that a source names: `URL[#REFERENCE[:DIRECTORY]]`. Raises `InvalidParameter`."""
    url, _, fragment = source.partition("#")
    reference, _, directory = fragment.partition(":")
    if url.startswith("github.com/"):
        url = f"https://{url}"
    if url.startswith("-") or reference.startswith("-"):
        raise InvalidParameter(f"invalid Git repository {source!r}: a name in it begins with a hyphen")
    return Repository(url, reference, directory)


def fetch(repository: Repository, tree: Path, check: Callable[[], None], *, keep_git_dir: bool = False) -> str:
    """Put what is in a repository into an empty directory, with its submodules, and return the commit.

    Raises `NotFound` if it or the reference is not there, `Unavailable` without the program `git`.
    """
    reference = repository.reference or "HEAD"
    _git(tree, check, "init", "-q", ".")
    # So that what is kept says where it is from.
    _git(tree, check, "remote", "add", "origin", repository.url)
    try:
        _git(tree, check, "fetch", "-q", "--depth=1", "--no-tags", "--", "origin", reference)
        found = "FETCH_HEAD"
    except NotFound:
        # Not every server gives a part of the history, or a commit by its name.
        named = not _COMMIT.fullmatch(reference)
        _git(tree, check, "fetch", "-q", "--", "origin", *((reference,) if named else ()))
        found = "FETCH_HEAD" if named else reference
    _git(tree, check, "checkout", "-q", found, "--")
    if (tree / ".gitmodules").exists():
        _git(tree, check, "submodule", "update", "-q", "--init", "--recursive", "--depth=1")
    commit = _git(tree, check, "rev-parse", "HEAD").strip()
    if not keep_git_dir:
        top = os.open(tree, DIRECTORY)
        try:
            remove_entry(top, b".git")
        finally:
            os.close(top)
    return commit


def _git(tree: Path, check: Callable[[], None], *arguments: str) -> str:
    try:
        process = subprocess.Popen(
            ["git", *_SAFE, *arguments],
            cwd=tree,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": "/nonexistent",
                "LC_ALL": "C",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": "/dev/null",
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_ALLOW_PROTOCOL": "http:https:git:ssh",
                "GIT_LFS_SKIP_SMUDGE": "1",
                "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
                **{name: os.environ[name] for name in ("http_proxy", "https_proxy", "no_proxy") if name in os.environ},
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o022,
        )
    except FileNotFoundError as error:
        raise Unavailable("cannot read a Git repository: the program git is not installed here") from error
    try:
        while True:
            try:
                output, _ = process.communicate(timeout=_TURN)
                break
            except subprocess.TimeoutExpired:
                check()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    text = output.decode(errors="replace")
    if process.returncode:
        raise NotFound(f"failed to fetch the Git repository: git {arguments[0]}: {text[-_LONGEST_COMPLAINT:].strip()}")
    return text
