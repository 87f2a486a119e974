"""The user's configuration of clients: `config.json` in Docker's directory, which may not be there."""

from __future__ import annotations

import json
import os
import stat
import sys
from typing import Any

from transom_cli.errors import CommandFailed

__all__ = ["ConfigFile"]


class ConfigFile:
    """The configuration at a path. One that cannot be read is warned of, says nothing, and is never written over."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.content: dict[str, Any] = {}
        self._problem = ""
        try:
            with open(path, "rb") as file:
                self.content = _object(file.read())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self._problem = str(error)
            print(f"WARNING: Error parsing config file ({path}): {error}", file=sys.stderr)

    def text(self, name: str) -> str:
        """Return a setting that is text, empty if it is not there."""
        value = self.content.get(name)
        return value if isinstance(value, str) else ""

    def mapping(self, name: str) -> dict[str, Any]:
        """Return a setting that is an object, empty if it is not there."""
        value = self.content.get(name)
        return value if isinstance(value, dict) else {}

    def save(self) -> None:
        """Write the configuration in one step, with the permissions that the file had, or for its owner alone.

        Raises `CommandFailed` if the file could not be read before, or cannot be written.
        """
        if not self.path:
            raise CommandFailed("there is no directory for config.json: set HOME or DOCKER_CONFIG")
        if self._problem:
            raise CommandFailed(f"{self.path} cannot be changed, since it cannot be read: {self._problem}")
        target = os.path.realpath(self.path)
        new = f"{target}{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                with open(descriptor, "w", encoding="utf-8") as file:
                    json.dump({"auths": {}, **self.content}, file, indent="\t", ensure_ascii=False)
                    _copy_permissions(target, descriptor)
                os.replace(new, target)  # noqa: PTH105
            except BaseException:
                os.unlink(new)  # noqa: PTH108
                raise
        except OSError as error:
            raise CommandFailed(f"cannot write {self.path}: {error.strerror}") from error


def _object(content: bytes) -> dict[str, Any]:
    """Return a JSON object, an empty one for an empty file. Raises `ValueError` for anything else."""
    value = json.loads(content) if content.strip() else {}
    if not isinstance(value, dict):
        raise ValueError("it should be an object")
    return value


def _copy_permissions(path: str, descriptor: int) -> None:
    try:
        before = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
    try:
        os.fchown(descriptor, before.st_uid, before.st_gid)
    except PermissionError:
        # Only root gives files away: for anybody else it becomes their own, as any file that they write.
        return
