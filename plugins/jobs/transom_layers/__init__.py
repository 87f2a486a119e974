"""The job that looks through the layers of an image: what each adds, changes and deletes, and what is wasted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from transom import hookimpl

if TYPE_CHECKING:
    from transom.job import Handler


@hookimpl
def transom_jobs() -> Mapping[str, Handler]:
    from transom_layers.analysis import image_layers

    return {"image_layers": image_layers}
