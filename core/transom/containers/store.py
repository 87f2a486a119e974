"""The containers that there are: in memory for reading, in GraphDB for lasting."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from transom import records
from transom.containers.model import Container, MountKind
from transom.errors import Conflict, InvalidParameter, NotFound
from transom.graph.db import GraphDB

__all__ = ["ContainerStore"]


class ContainerStore:
    """All containers. Values are replaced as a whole; who changes one holds its lock."""

    def __init__(self, db: GraphDB) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._containers: dict[str, Container] = {}
        self._names: dict[str, str] = {}
        self._locks: dict[str, threading.RLock] = {}
        for node in db.list("container"):
            self._remember(records.load(Container, node.data))

    def list(self) -> list[Container]:
        """Return all containers, the newest first."""
        with self._lock:
            containers = list(self._containers.values())
        return sorted(containers, key=lambda container: container.created, reverse=True)

    def running(self) -> builtins.list[Container]:
        """Return the containers that have a process."""
        return [container for container in self.list() if container.state.running]

    def get(self, name: str) -> Container:
        """Return a container by ID, name, link (`parent/alias`), or unique beginning of the ID.

        Raises `NotFound`, `InvalidParameter`.
        """
        bare = name.removeprefix("/")
        with self._lock:
            identity = bare if bare in self._containers else self._names.get(bare) or self._linked_as(bare)
            if identity is not None:
                return self._containers[identity]
            found = [
                container for identity, container in self._containers.items() if bare and identity.startswith(bare)
            ]
        if len(found) > 1:
            raise InvalidParameter(f"Multiple IDs found with provided prefix: {name}")
        if not found:
            raise NotFound(f"No such container: {name}")
        return found[0]

    def linked(self, container: Container) -> dict[str, Container]:
        """Return the containers that one is linked to, as far as they are there, by alias."""
        with self._lock:
            return {
                alias: self._containers[link.container]
                for alias, link in container.links.items()
                if link.container in self._containers
            }

    def linking(self, container: Container) -> builtins.list[Container]:
        """Return the containers that are linked to one."""
        return [
            other for other in self._with_links() if container.id in {link.container for link in other.links.values()}
        ]

    def link_names(self) -> dict[str, builtins.list[str]]:
        """Return the names (`parent/alias`) that containers have by links, by their IDs."""
        found: dict[str, builtins.list[str]] = {}
        for container in self._with_links():
            for alias, link in container.links.items():
                found.setdefault(link.container, []).append(f"{container.name}/{alias}")
        return found

    def _with_links(self) -> builtins.list[Container]:
        """Return the containers that are linked to others: few, if any."""
        with self._lock:
            return [container for container in self._containers.values() if container.links]

    def add(self, container: Container) -> None:
        """Record a new container with its edges to image, layer and volumes. Raises `Conflict` for a name in use."""
        with self._lock:
            self._raise_if_taken(container.name)
            with self._db.transaction():
                node = self._db.put("container", container.id, records.dump(container), root=True)
                self._db.link(node, "name", self._db.put("name", container.name))
                if container.image:
                    self._db.link(node, "uses", self._db.need("image", container.image))
                self._db.link(node, "uses", self._db.need("snapshot", f"{container.graphdriver}/{container.id}"))
                for mount in container.mounts:
                    if mount.kind is MountKind.VOLUME:
                        volume = self._db.need("volume", mount.source)
                        if not volume.data["ready"]:
                            raise Conflict(f"the volume {mount.source} is being removed: try again")
                        self._db.link(node, "uses", volume)
                    elif mount.kind is MountKind.IMAGE:
                        self._db.link(node, "uses", self._db.need("image", mount.image))
                        self._db.link(node, "uses", self._db.need("snapshot", f"{container.graphdriver}/{mount.layer}"))
            self._remember(container)

    def replace(self, container: Container) -> None:
        """Record a container's new state. Raises `NotFound` if it was removed meanwhile."""
        with self._lock:
            if container.id not in self._containers:
                raise NotFound(f"No such container: {container.id}")
            self._db.put("container", container.id, records.dump(container), root=True)
            self._containers[container.id] = container

    def rename(self, container: Container, name: str) -> Container:
        """Give a container another name, and return it. Raises `Conflict` for a name in use, `NotFound`."""
        renamed = replace(container, name=name)
        with self._lock:
            if container.id not in self._containers:
                raise NotFound(f"No such container: {container.id}")
            self._raise_if_taken(name)
            with self._db.transaction():
                self._db.remove("name", container.name)
                node = self._db.put("container", container.id, records.dump(renamed), root=True)
                self._db.link(node, "name", self._db.put("name", name))
            del self._names[container.name]
            self._remember(renamed)
        return renamed

    def remove(self, container: Container) -> None:
        """Forget a container."""
        with self._lock, self._db.transaction():
            self._db.remove("name", container.name)
            self._db.remove("container", container.id)
            self._containers.pop(container.id, None)
            self._names.pop(container.name, None)
            self._locks.pop(container.id, None)

    def has(self, identity: str) -> bool:
        """Return whether there is a container of an ID."""
        with self._lock:
            return identity in self._containers

    def has_name(self, name: str) -> bool:
        """Return whether a container has the name."""
        with self._lock:
            return name in self._names

    def check_name(self, name: str) -> None:
        """Raise `Conflict` if a container has the name."""
        with self._lock:
            self._raise_if_taken(name)

    @contextmanager
    def locked(self, name: str) -> Iterator[Container]:
        """Hold a container's lock and give its present value; changes of one container come one after the other."""
        identity = self.get(name).id
        with self._lock:
            lock = self._locks.setdefault(identity, threading.RLock())
        with lock:
            yield self.get(identity)

    def _raise_if_taken(self, name: str) -> None:
        if name in self._names:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{self._names[name]}". You have'
                " to remove (or rename) that container to be able to reuse that name."
            )

    def _linked_as(self, name: str) -> str | None:
        """Return the ID of the container that a link names, None if there is none."""
        parent, slash, alias = name.partition("/")
        if not slash or parent not in self._names:
            return None
        link = self._containers[self._names[parent]].links.get(alias)
        return link.container if link is not None and link.container in self._containers else None

    def _remember(self, container: Container) -> None:
        self._containers[container.id] = container
        self._names[container.name] = container.id
