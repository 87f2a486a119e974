"""What `docker rmi` does: names go first, the image with the last of them; containers and images made from it hold on.

An image that was made here from another takes that one along, if it has no name and nothing else holds on to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from transom import records
from transom.containers.model import Container
from transom.errors import Conflict
from transom.graph.db import GraphDB, Node
from transom.graph.digest import Digest
from transom.graph.model import Image
from transom.graph.reference import Reference

__all__ = ["Removal", "Removed"]


@dataclass(frozen=True)
class Removed:
    """What the removal of an image did, one step: exactly one of the two is not empty.

    `untagged` is a reference in its familiar form, `deleted` an image ID or a chain ID. `image` is the ID of
    the image that it was about.
    """

    image: Digest
    untagged: str = ""
    deleted: str = ""


class Removal:
    """The removal of one image, or of one of its names. It runs in one transaction of the database."""

    def __init__(self, db: GraphDB, node: Node) -> None:
        self._db = db
        self._node = node
        self._image = records.load(Image, node.data)
        self._removed: list[Removed] = []

    def run(self, name: str, *, force: bool, prune: bool) -> tuple[Removed, ...]:
        """Remove what a user calls `name`, a reference or the beginning of the ID. Raises `Conflict`."""
        parents = self._db.targets(self._node, "parent")
        if self._image.id.startswith(name) or self._image.id.hex.startswith(name):
            self._remove_by_id(force)
        else:
            self._remove_by_reference(name, force)
        if prune and self._db.get("image", self._image.id) is None:
            for parent in parents:
                self._removed += Removal(self._db, parent).run_if_unused()
        return tuple(self._removed)

    def run_if_unused(self) -> tuple[Removed, ...]:
        """Remove the image, and what it was made from, if it has no name and nothing holds on to it."""
        if self._references() or self._users() or self._has_children():
            return ()
        return self.run(self._image.id, force=False, prune=True)

    def _remove_by_id(self, force: bool) -> None:
        references = self._references()
        if _is_one_name(references):
            self._raise_if_used(force)
            for reference in references:
                self._untag(reference)
        self._raise_if_used(force)
        if self._references() and not force:
            raise self._conflict("must be forced", "image is referenced in multiple repositories")
        for reference in self._references():
            self._untag(reference)
        self._delete()

    def _remove_by_reference(self, name: str, force: bool) -> None:
        users = self._users()
        if users and not force and _is_one_name(self._references()):
            raise Conflict(
                f'conflict: unable to remove repository reference "{name}" (must force) - container'
                f" {_short(users[0].id)} is using its referenced image {_short(self._image.id)}"
            )
        reference = Reference.parse(name).tagged()
        if reference.digest is not None:
            reference = reference.without_tag()
        self._untag(reference)
        left = self._references()
        in_repository = [item for item in left if item.name == reference.name]
        if reference.tag is not None and all(item.digest is not None for item in in_repository):
            for item in in_repository:
                self._untag(item)
            left = [item for item in left if item not in in_repository]
        held = any(user.state.running or not force for user in users) or self._has_children()
        if not left and not held:
            self._delete()

    def _raise_if_used(self, force: bool) -> None:
        if self._has_children():
            raise self._conflict("cannot be forced", "image has dependent child images")
        for user in self._users():
            if user.state.running:
                reason = f"image is being used by running container {_short(user.id)}"
                raise self._conflict("cannot be forced", reason)
        for user in self._users():
            if not force:
                reason = f"image is being used by stopped container {_short(user.id)}"
                raise self._conflict("must be forced", reason)

    def _conflict(self, remedy: str, reason: str) -> Conflict:
        return Conflict(f"conflict: unable to delete {_short(self._image.id)} ({remedy}) - {reason}")

    def _untag(self, reference: Reference) -> None:
        self._db.remove("tag" if reference.digest is None else "digest", str(reference))
        self._removed.append(Removed(self._image.id, untagged=reference.familiar))

    def _delete(self) -> None:
        self._db.remove("image", self._image.id)
        self._removed.append(Removed(self._image.id, deleted=self._image.id))
        garbage = {node.name for node in self._db.garbage() if node.kind == "layer"}
        for chain_id in reversed(self._image.chain_ids):
            if chain_id in garbage:
                self._removed.append(Removed(self._image.id, deleted=chain_id))

    def _has_children(self) -> bool:
        return any(node.kind == "image" for node in self._db.sources(self._node, "parent"))

    def _references(self) -> list[Reference]:
        return [Reference.parse(node.name) for node in self._db.sources(self._node, "names")]

    def _users(self) -> list[Container]:
        nodes = self._db.sources(self._node, "uses")
        return [records.load(Container, node.data) for node in nodes if node.kind == "container"]


def _is_one_name(references: list[Reference]) -> bool:
    """Whether all references are of one repository, and at most one of them is a tag."""
    tags = sum(reference.digest is None for reference in references)
    return len({reference.name for reference in references}) == 1 and tags <= 1


def _short(identity: str) -> str:
    return identity.rpartition(":")[2][:12]
