"""What was asked of CNI plugins, on disk from before ADD until after DEL: DEL must be told the same.

<root>/<endpoint>/attachment.json    the configuration, what it was called with, and the result once there is one
<root>/<endpoint>/lock               held while plugins run for it, by themselves too if the engine is killed
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from transom import records
from transom_cni.configuration import NetworkConfiguration, parse_configuration
from transom_cni.plugins import Attachment

__all__ = ["Attached", "Attachments"]

_RECORD, _LOCK = "attachment.json", "lock"


@dataclass(frozen=True)
class Attached:
    """An attachment: `told` are the values of capabilities, `result` what ADD answered, None before it has."""

    container: str
    interface: str
    namespace: str
    directories: tuple[str, ...]
    #: The configuration as JSON text, as it was then.
    configuration: str
    told: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None

    @classmethod
    def of(
        cls,
        attachment: Attachment,
        configuration: NetworkConfiguration,
        directories: tuple[str, ...],
        told: Mapping[str, Any],
    ) -> Attached:
        """Return what is to be attached."""
        text = json.dumps(
            {
                "name": configuration.name,
                "cniVersion": configuration.version,
                "disableCheck": not configuration.checked,
                "plugins": configuration.plugins,
            }
        )
        return cls(attachment.container, attachment.interface, attachment.namespace, directories, text, told)

    def parsed(self) -> NetworkConfiguration:
        """Return the configuration."""
        return parse_configuration(self.configuration, "of an attachment")


class Attachments:
    """The attachments of one engine, by endpoint."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def list(self) -> list[str]:
        """Return the endpoints that have one."""
        try:
            return sorted(path.name for path in self._root.iterdir())
        except FileNotFoundError:
            return []

    @contextmanager
    def locked(self, endpoint: str) -> Iterator[int]:
        """Hold an endpoint's lock; gives its descriptor. Waits for plugins that a killed engine has left running."""
        directory = self._root / endpoint
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)
            if not (directory / _RECORD).exists():
                shutil.rmtree(directory, ignore_errors=True)

    def read(self, endpoint: str) -> Attached | None:
        """Return an attachment, None if there is none."""
        try:
            return records.load(Attached, json.loads((self._root / endpoint / _RECORD).read_bytes()))
        except FileNotFoundError:
            return None

    def write(self, endpoint: str, attached: Attached) -> None:
        """Record an attachment."""
        path = self._root / endpoint / _RECORD
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(records.dump(attached)))
        fresh.replace(path)

    def complete(self, endpoint: str, attached: Attached, result: Mapping[str, Any]) -> None:
        """Record what ADD answered."""
        self.write(endpoint, replace(attached, result=dict(result)))

    def forget(self, endpoint: str) -> None:
        """Forget an attachment. Harmless if there is none."""
        (self._root / endpoint / _RECORD).unlink(missing_ok=True)
