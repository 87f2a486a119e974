"""The volumes that there are: recorded in GraphDB, kept by volume drivers, used by containers.

A volume is recorded before its driver makes it and forgotten after its driver removed it; what is recorded
and not *ready* when the engine starts was interrupted on one of the two ways, and is removed. A container
uses a volume from its creation until its removal, by an edge `uses`, and mounts it from its start until its
end.
"""

from __future__ import annotations

import builtins
import logging
import os
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from transom import records
from transom.catalog import Shelf
from transom.drivers.blame import expect
from transom.drivers.volume import Volume, VolumeDriver
from transom.errors import Conflict, DriverFailed, DriverUnavailable, InvalidParameter, NotFound, TransomError
from transom.filters import Labels, parse_truth
from transom.graph.copy import copy_tree
from transom.graph.db import GraphDB, Node
from transom.graph.locks import Locks
from transom.graph.space import storage_full
from transom.graph.trees import tree_size
from transom.patterns import name_pattern

__all__ = ["ANONYMOUS_LABEL", "VolumeRecord", "VolumeStore", "VolumeUsage"]

log = logging.getLogger(__name__)

#: The label of a volume that got its name from the engine.
ANONYMOUS_LABEL: Final = "com.docker.volume.anonymous"

_KIND: Final = "volume"
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
#: Drivers make files of these names, with something of their own around them.
_LONGEST_NAME: Final = 240


@dataclass(frozen=True)
class VolumeRecord:
    """One volume. `created` is in nanoseconds since the epoch.

    `ready` is false while it is being made or removed; such a volume is shown to nobody. What only its driver knows is
    not recorded: `mountpoint` is where its files are, empty while that is nowhere; `status` and `scope` are as in
    `transom.drivers.volume.Volume`.
    """

    name: str
    driver: str
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    created: int = 0
    mountpoint: str = ""
    ready: bool = False
    status: Mapping[str, Any] = field(default_factory=dict)
    scope: str = "local"


@dataclass(frozen=True)
class VolumeUsage:
    """How much a volume occupies, in bytes (None where its driver does not say where it is), and how many use it."""

    volume: VolumeRecord
    size: int | None
    users: int


class VolumeStore:
    """All volumes of all drivers. Everything here is safe to call from many threads."""

    def __init__(self, db: GraphDB, shelf: Shelf[VolumeDriver]) -> None:
        self._db = db
        self._shelf = shelf
        self._guard = threading.Lock()
        self._drivers: dict[str, VolumeDriver] = {}
        #: Held, by volume name, around all that a driver does with one volume.
        self._locks = Locks()

    # What there is

    def exists(self, name: str) -> bool:
        """Return whether there is a volume of that name."""
        return self._find(name) is not None

    def get(self, name: str) -> VolumeRecord:
        """Return a volume. Raises `NotFound`."""
        found = self._find(name)
        if found is None:
            raise NotFound(f"get {name}: no such volume")
        return self._located(found[1])

    def list(self, filters: Mapping[str, tuple[str, ...]] | None = None) -> builtins.list[VolumeRecord]:
        """Return the volumes that pass all filters, in the order of their names.

        As in Docker: `dangling` (used by no container, or by one), `driver`, `label` (`key` or `key=value`,
        of which a volume has all), `name` (a regular expression that is found in the name). Raises
        `InvalidParameter`.
        """
        tests = [self._test(name, values) for name, values in (filters or {}).items()]
        nodes = sorted(self._db.list(_KIND), key=lambda node: node.name)
        volumes = ((node, _load(node)) for node in nodes)
        return [
            self._located(record)
            for node, record in volumes
            if record.ready and all(test(node, record) for test in tests)
        ]

    def usage(self, name: str) -> VolumeUsage:
        """Return what a volume occupies. Raises `NotFound`."""
        found = self._find(name)
        if found is None:
            raise NotFound(f"get {name}: no such volume")
        record = self._located(found[1])
        size = tree_size(Path(record.mountpoint)) if record.mountpoint else None
        return VolumeUsage(record, size, len(self._users(found[0])))

    def _test(self, name: str, values: tuple[str, ...]) -> Callable[[Node, VolumeRecord], bool]:
        """Return the test that a filter is."""
        match name:
            case "dangling":
                wanted = parse_truth({name: values}, name)
                return lambda node, _: self._users(node) == () if wanted else self._users(node) != ()
            case "driver":
                return lambda _, record: record.driver in values
            case "label":
                labels = Labels.parse({name: values})
                return lambda _, record: labels.accept(record.labels)
            case "name":
                patterns = [name_pattern(name, value) for value in values]
                return lambda _, record: any(pattern.search(record.name) for pattern in patterns)
            case _:
                raise InvalidParameter(f"invalid filter '{name}'")

    # Making and removing

    def create(
        self,
        name: str = "",
        driver: str = "local",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> VolumeRecord:
        """Make a volume and return it; without a name it gets a random one and the label `ANONYMOUS_LABEL`.

        A volume that exists is returned as it is, unless another driver or other options were asked for:
        that is a `Conflict`. Raises `InvalidParameter` for a wrong name or option, `NotFound` and
        `DriverUnavailable` for the driver, `StorageFull`.
        """
        options, labels = dict(options or {}), dict(labels or {})
        if name:
            _check_name(name)
        else:
            name = secrets.token_hex(32)
            labels[ANONYMOUS_LABEL] = ""
        with self._locks.hold(name):
            found = self._find(name)
            if found is not None:
                return self._located(_same(found[1], driver, options))
            volumes = self._driver(driver)
            # What the driver has already, made by another engine, is not taken away if this is interrupted.
            begun = VolumeRecord(name, driver, options, labels, ready=_has(volumes, name))
            node = self._db.put(_KIND, name, root=True, data=records.dump(begun))
            record = replace(begun, created=node.created, ready=True)
            try:
                volumes.create(name, options)
            except BaseException as error:
                # The driver has left nothing; what it may have under that name from elsewhere is not ours.
                self._db.remove(_KIND, name)
                if isinstance(error, InvalidParameter | DriverFailed):
                    raise type(error)(f"create {name}: {error}") from error
                raise
            self._db.put(_KIND, name, records.dump(record), root=True)
            return self._located(record)

    def remove(self, name: str, force: bool = False) -> VolumeRecord | None:
        """Delete a volume with its content, and return what it was.

        Raises `Conflict` if a container uses it, and `NotFound`; with `force` None is returned where there is
        none, and a volume whose driver is gone is forgotten.
        """
        with self._locks.hold(name), self._db.freeing():
            found = self._find(name)
            if found is None:
                if force:
                    return None
                raise NotFound(f"get {name}: no such volume")
            node, record = found
            record = self._located(record)
            with self._db.transaction():
                users = self._users(node)
                if users:
                    raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
                self._db.put(_KIND, name, records.dump(replace(record, ready=False)), root=True)
            try:
                self._driver(record.driver).remove(name)
            except (DriverUnavailable, NotFound):
                if not force:
                    self._db.put(_KIND, name, records.dump(record), root=True)
                    raise
            except BaseException as error:
                self._db.put(_KIND, name, records.dump(record), root=True)
                if isinstance(error, DriverFailed):
                    raise DriverFailed(f"remove {name}: {error}") from error
                raise
            self._db.remove(_KIND, name)
            return record

    # Use

    def mount(self, name: str, container: str) -> Path:
        """Make a volume's content visible on behalf of a container and return where. Raises `NotFound`.

        After a restart of the engine call it once for every container that still runs.
        """
        with self._locks.hold(name):
            volume = self.get(name)
            driver = self._driver(volume.driver)
            try:
                return expect(driver, "mount", Path, driver.mount(name, container))
            except DriverFailed as error:
                raise DriverFailed(f"error while mounting volume '{volume.mountpoint}': {error}") from error

    def unmount(self, name: str, container: str) -> None:
        """Say that a container no longer uses the volume's content. Harmless if it did not."""
        with self._locks.hold(name):
            found = self._find(name)
            if found is not None:
                self._driver(found[1].driver).unmount(name, container)

    def populate(self, mountpoint: Path, source: Path) -> None:
        """Give an empty volume the content, and the attributes, of a directory of an image.

        A volume in which something is already is left as it is. `source` was resolved inside the image's
        root: links on the way to it are followed. Raises `StorageFull`.
        """
        if not mountpoint.is_dir() or any(mountpoint.iterdir()):
            return
        with storage_full(f"copy the image's content to the volume at {mountpoint}"):
            copy_tree(source, mountpoint)

    def recover(self) -> None:
        """Called at the engine's start: remove what was being made or removed when the last engine ended."""
        for node in self._db.list(_KIND):
            record = _load(node)
            if record.ready:
                continue
            try:
                self._driver(record.driver).remove(node.name)
            except Exception:
                # A plugin that is not there, or a mount that is busy, now may be otherwise at the next start.
                log.exception("the volume %s stays half removed", node.name)
                continue
            self._db.remove(_KIND, node.name)

    # Within

    def _driver(self, name: str) -> VolumeDriver:
        kind = self._shelf.get(name)
        with self._guard:
            driver = self._drivers.get(name)
            # Another class has the name where a plugin has come back at another place.
            if type(driver) is not kind:
                driver = self._drivers[name] = kind(self._shelf.root(name))
        return driver

    def _find(self, name: str) -> tuple[Node, VolumeRecord] | None:
        node = self._db.get(_KIND, name)
        if node is None:
            return None
        record = _load(node)
        return (node, record) if record.ready else None

    def _users(self, node: Node) -> tuple[str, ...]:
        """Return the IDs of the containers that use a volume."""
        return tuple(user.name for user in self._db.sources(node, "uses") if user.kind == "container")

    def _located(self, record: VolumeRecord) -> VolumeRecord:
        """Return a volume with what its driver knows, which one that fails or is gone does not."""
        try:
            driver = self._driver(record.driver)
            volume = expect(driver, "get", Volume, driver.get(record.name))
        except TransomError:
            return replace(record, mountpoint="", status={}, scope="local")
        except Exception:
            # The volumes of other drivers are to be listed too.
            log.exception("the volume driver %s could not tell of the volume %s", record.driver, record.name)
            return replace(record, mountpoint="", status={}, scope="local")
        mountpoint = os.fspath(volume.mountpoint) if volume.mountpoint else ""
        return replace(record, mountpoint=mountpoint, status=volume.status, scope=volume.scope)


def _has(driver: VolumeDriver, name: str) -> bool:
    try:
        driver.get(name)
    except NotFound:
        return False
    return True


def _load(node: Node) -> VolumeRecord:
    return replace(records.load(VolumeRecord, node.data), created=node.created)


def _same(record: VolumeRecord, driver: str, options: Mapping[str, str]) -> VolumeRecord:
    """Return a volume if it is what was asked for. Raises `Conflict`."""
    if record.driver != driver:
        raise Conflict(
            f"create {record.name}: driver '{record.driver}' already has volume '{record.name}': volume name must be"
            " unique"
        )
    if options and dict(record.options) != options:
        raise Conflict(f"create {record.name}: volume name must be unique, and there is one with other options")
    return record


def _check_name(name: str) -> None:
    if len(name) == 1:
        raise InvalidParameter(
            f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )
    if not _NAME.match(name):
        raise InvalidParameter(
            f'create {name}: "{name}" includes invalid characters for a local volume name,'
            ' only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory,'
            " use absolute path"
        )
    if len(name) > _LONGEST_NAME:
        raise InvalidParameter(f"create {name}: a volume's name has at most {_LONGEST_NAME} characters")
