"""The jobs about images: pull, push, list, inspect, history, tag, remove, prune, save, load, import; and artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from transom import hookimpl

if TYPE_CHECKING:
    from transom.job import HandlerName


@hookimpl
def transom_jobs() -> Mapping[str, HandlerName]:
    return {
        "pull": "transom_images.pull:pull",
        "push": "transom_images.push:push",
        "auth": "transom_images.login:auth",
        "distribution_inspect": "transom_images.inspection:distribution_inspect",
        "image_search": "transom_images.search:image_search",
        "image_list": "transom_images.listing:image_list",
        "image_inspect": "transom_images.listing:image_inspect",
        "image_history": "transom_images.listing:image_history",
        "image_tag": "transom_images.tagging:image_tag",
        "image_remove": "transom_images.removing:image_remove",
        "image_prune": "transom_images.removing:image_prune",
        "image_save": "transom_images.saving:image_save",
        "image_load": "transom_images.loading:image_load",
        "layout_load": "transom_images.loading:layout_load",
        "image_import": "transom_images.importing:image_import",
        "artifact_manifest": "transom_images.artifacts:artifact_manifest",
        "artifact_blob": "transom_images.artifacts:artifact_blob",
        "artifact_push": "transom_images.artifacts:artifact_push",
    }
