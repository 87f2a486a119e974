"""Images as Docker's API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from transom.graph.model import RunConfig
from transom_api.shapes_containers import run_config
from transom_api.times import format_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transom.graph.images import HistoryEntry, ImageDetails, ImageSummary, Removed

__all__ = ["Pruned", "history_entry", "image_details", "image_summary", "pruned", "removed"]

Json = dict[str, Any]


class Pruned(Protocol):
    """What the job `image_prune` returns."""

    @property
    def removed(self) -> Sequence[Removed]:
        """What was done, step by step."""

    @property
    def reclaimed(self) -> int:
        """The bytes that have gone."""


#: Fields of an image's configuration that never meant anything; clients before version 1.50 expect them.
_OLD_CONFIG: Json = {
    "Hostname": "",
    "Domainname": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Image": "",
}


def image_summary(image: ImageSummary, *, with_virtual_size: bool, with_none: bool) -> Json:
    """Return an image for a list.

    `with_virtual_size` is for clients before version 1.44, `with_none` for those before 1.43, who expect
    `<none>:<none>` for an image without a tag.
    """
    summary: Json = {
        # Not counted here: `system df` is what counts them.
        "Containers": -1,
        "Created": image.created,
        "Id": image.id,
        "Labels": image.labels,
        "ParentId": image.parent,
        "RepoDigests": image.digests,
        "RepoTags": image.tags,
        "SharedSize": -1 if image.shared_size is None else image.shared_size,
        "Size": image.size,
    }
    if with_virtual_size:
        summary["VirtualSize"] = image.size
    if with_none:
        summary["RepoTags"] = image.tags or ("<none>:<none>",)
        summary["RepoDigests"] = image.digests or ("<none>@<none>",)
    return summary


def image_details(
    details: ImageDetails, *, with_old_config: bool, with_virtual_size: bool, with_container: bool
) -> Json:
    """Return all about an image.

    For clients before version 1.50 it is `with_old_config`, before 1.45 `with_container`, which is about how an image
    was built, before 1.44 `with_virtual_size` and with a time of its making even if that is not known.
    """
    image = details.image
    config = run_config(image.config)
    shape: Json = {
        "Id": image.id,
        "RepoTags": details.tags,
        "RepoDigests": details.digests,
        "Parent": details.parent,
        "Comment": image.comment,
        "DockerVersion": image.docker_version,
        "Author": image.author,
        "Config": {**_OLD_CONFIG, **config} if with_old_config else config,
        "Architecture": image.platform.architecture,
        "Os": image.platform.os,
        "Size": image.size,
        "GraphDriver": {"Name": details.graphdriver, "Data": {}},
        "RootFS": {"Type": "layers", "Layers": image.diff_ids},
        "Metadata": {"LastTagTime": format_time(details.last_tagged)},
    }
    if image.created:
        shape["Created"] = image.created
    if image.platform.variant:
        shape["Variant"] = image.platform.variant
    if with_container:
        shape["Container"] = image.container
        shape["ContainerConfig"] = {**_OLD_CONFIG, **run_config(RunConfig())}
    if with_virtual_size:
        shape["VirtualSize"] = image.size
        shape.setdefault("Created", "0001-01-01T00:00:00Z")
    return shape


def history_entry(entry: HistoryEntry) -> Json:
    """Return one step in the making of an image."""
    return {
        "Comment": entry.comment,
        "Created": entry.created,
        "CreatedBy": entry.created_by,
        "Id": entry.id,
        "Size": entry.size,
        "Tags": entry.tags or None,
    }


def removed(step: Removed) -> Json:
    """Return one step of the removal of an image."""
    return {"Untagged": step.untagged} if step.untagged else {"Deleted": step.deleted}


def pruned(report: Pruned) -> Json:
    """Return what a prune did."""
    return {
        "ImagesDeleted": [removed(step) for step in report.removed] or None,
        "SpaceReclaimed": report.reclaimed,
    }
