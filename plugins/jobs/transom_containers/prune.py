"""The job `container_prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom.errors import Conflict, NotFound
from transom.filters import Filters, Labels, parse_until, refuse_unknown
from transom.system import Pruned

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["container_prune"]


def container_prune(engine: Engine, job: Job, *, filters: Filters | None = None) -> Pruned:
    """Remove the containers that do not run; their volumes stay.

    The filters are `until` (a time before which a container was made), `label` and `label!`. Raises
    `InvalidParameter` for others and for wrong values.
    """
    filters = filters or {}
    refuse_unknown(filters, ("label", "label!", "until"))
    until, labels = parse_until(filters), Labels.parse(filters)
    removed: list[str] = []
    reclaimed = 0
    for container in engine.containers.list():
        job.check()
        if until is not None and not container.created < until:
            continue
        if container.state.running or not labels.accept(container.config.run.labels):
            continue
        try:
            size = engine.layers.usage(container.graphdriver, container.id).size
            engine.supervisor.remove(container.id)
        except (Conflict, NotFound):
            # Somebody has started or removed it meanwhile.
            continue
        removed.append(container.id)
        reclaimed += size
    engine.events.record("container", "prune", "", {"reclaimed": str(reclaimed)})
    return Pruned(tuple(removed), reclaimed)
