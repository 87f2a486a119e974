"""The jobs about images: pull, push, list, inspect, history, tag, remove, prune, save, load, import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from transom import hookimpl

if TYPE_CHECKING:
    from transom.job import Handler


@hookimpl
def transom_jobs() -> Mapping[str, Handler]:
    from transom_images.importing import image_import
    from transom_images.inspection import distribution_inspect
    from transom_images.listing import image_history, image_inspect, image_list
    from transom_images.loading import image_load
    from transom_images.login import auth
    from transom_images.pull import pull
    from transom_images.push import push
    from transom_images.removing import image_prune, image_remove
    from transom_images.saving import image_save
    from transom_images.search import image_search
    from transom_images.tagging import image_tag

    return {
        "pull": pull,
        "push": push,
        "auth": auth,
        "distribution_inspect": distribution_inspect,
        "image_search": image_search,
        "image_list": image_list,
        "image_inspect": image_inspect,
        "image_history": image_history,
        "image_tag": image_tag,
        "image_remove": image_remove,
        "image_prune": image_prune,
        "image_save": image_save,
        "image_load": image_load,
        "image_import": image_import,
    }
