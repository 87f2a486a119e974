"""A volume driver that is a process of its own, and all of those that there are.

Docker's documentation, "Docker volume plugins", has the protocol. A plugin gets a container's ID with `Mount` and
`Unmount`, and again after a restart of the engine: an ID that it knows is no further user.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from transom.drivers.base import DriverSource
from transom.drivers.volume import Volume, VolumeDriver
from transom.errors import DriverFailed, NotFound
from transom_remote.client import LONG, PluginClient
from transom_remote.discovery import Place, find_place, list_names

__all__ = ["RemoteDriver", "RemoteDrivers"]


class RemoteDriver(VolumeDriver):
    """A plugin as a volume driver; each plugin is a subclass, with the plugin's name."""

    place: ClassVar[Place]
    _client: ClassVar[PluginClient | None] = None

    @classmethod
    def client(cls) -> PluginClient:
        """Return what speaks to the plugin. Raises `DriverUnavailable` if nobody knows where it listens."""
        if cls._client is None:
            cls._client = PluginClient(cls.name, cls.place.address())
        return cls._client

    @classmethod
    def probe(cls, root: Path) -> None:  # noqa: ARG003 its files are elsewhere
        cls.client().activate()

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._plugin = self.client()
        self._scope = ""

    def create(self, name: str, options: Mapping[str, str]) -> None:
        try:
            self.get(name)
        except NotFound:
            self._plugin.call("Create", Name=name, Opts=dict(options), timeout=LONG, patient=True)

    def remove(self, name: str) -> None:
        try:
            self._plugin.call("Remove", Name=name, patient=True)
        except DriverFailed:
            # Plugins say in words of their own that there is none.
            if self._exists(name):
                raise

    def mount(self, name: str, container: str) -> Path:
        try:
            answer = self._plugin.call("Mount", Name=name, ID=container, timeout=LONG, patient=True)
        except DriverFailed:
            self.get(name)
            raise
        return _path(answer) or self._path(name)

    def unmount(self, name: str, container: str) -> None:
        try:
            self._plugin.call("Unmount", Name=name, ID=container, patient=True)
        except DriverFailed:
            if self._exists(name):
                raise

    def get(self, name: str) -> Volume:
        try:
            volume = self._plugin.call("Get", Name=name).get("Volume")
        except DriverFailed as error:
            raise NotFound(f"get {name}: no such volume: {error}") from error
        if not isinstance(volume, dict):
            raise NotFound(f'get {name}: no such volume: the volume plugin "{self.name}" answers without one')
        status = volume.get("Status")
        return Volume(name, _path(volume), status if isinstance(status, dict) else {}, self._find_scope())

    def list(self) -> list[Volume]:
        volumes = self._plugin.call("List").get("Volumes") or ()
        found = [(str(volume["Name"]), _path(volume)) for volume in volumes if isinstance(volume, dict)]
        return [Volume(name, path, scope=self._find_scope()) for name, path in sorted(found)]

    def _exists(self, name: str) -> bool:
        try:
            self.get(name)
        except NotFound:
            return False
        return True

    def _path(self, name: str) -> Path:
        path = _path(self._plugin.call("Path", Name=name))
        if path is None:
            raise DriverFailed(f'the volume plugin "{self.name}" does not say where {name} is mounted')
        return path

    def _find_scope(self) -> str:
        if not self._scope:
            try:
                capabilities = self._plugin.call("Capabilities").get("Capabilities")
            except DriverFailed:
                # A plugin that is older than this question has volumes of this machine.
                capabilities = None
            scope = capabilities.get("Scope") if isinstance(capabilities, dict) else ""
            self._scope = scope.lower() if isinstance(scope, str) and scope.lower() == "global" else "local"
        return self._scope


class RemoteDrivers(DriverSource[VolumeDriver]):
    """All plugins that are found in some directories."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = directories
        self._guard = threading.Lock()
        self._known: dict[str, type[RemoteDriver]] = {}

    def names(self) -> Collection[str]:
        return list_names(self._directories)

    def find(self, name: str) -> type[VolumeDriver] | None:
        place = find_place(self._directories, name)
        if place is None:
            return None
        with self._guard:
            known = self._known.get(name)
            if known is None or known.place != place:
                body = {"name": name, "place": place, "__module__": __name__, "__doc__": f"The volume plugin {name}."}
                known = self._known[name] = type("RemoteDriver", (RemoteDriver,), body)
        return known


def _path(answer: Mapping[str, Any]) -> Path | None:
    """Return the mountpoint in an answer, None if there is none."""
    mountpoint = answer.get("Mountpoint")
    return Path(mountpoint) if isinstance(mountpoint, str) and mountpoint else None
