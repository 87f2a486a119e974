"""The job that looks through the layers of an image: what each adds, changes and deletes, and what is wasted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from transom import hookimpl

if TYPE_CHECKING:
    from transom.job import HandlerName


@hookimpl
def transom_jobs() -> Mapping[str, HandlerName]:
    return {"image_layers": "transom_layers.analysis:image_layers"}
