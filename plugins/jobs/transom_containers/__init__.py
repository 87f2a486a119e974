"""The jobs about containers: create, start, stop, kill, wait, logs, attach, exec, list, inspect, remove, pause,
rename, update, top."""

from __future__ import annotations

from collections.abc import Mapping

from transom import hookimpl
from transom.job import HandlerName

__all__ = ["transom_jobs"]


@hookimpl
def transom_jobs() -> Mapping[str, HandlerName]:
    return {
        "create": "transom_containers.create:create",
        "start": "transom_containers.lifecycle:start",
        "stop": "transom_containers.lifecycle:stop",
        "kill": "transom_containers.lifecycle:kill",
        "restart": "transom_containers.lifecycle:restart",
        "wait": "transom_containers.lifecycle:wait",
        "remove": "transom_containers.lifecycle:remove",
        "pause": "transom_containers.changes:pause",
        "unpause": "transom_containers.changes:unpause",
        "rename": "transom_containers.changes:rename",
        "update": "transom_containers.changes:update",
        "top": "transom_containers.processes:top",
        "container_prune": "transom_containers.prune:container_prune",
        "stats": "transom_containers.statistics:stats",
        "stats_watch": "transom_containers.statistics:stats_watch",
        "attach": "transom_containers.streams:attach",
        "logs": "transom_containers.streams:logs",
        "resize": "transom_containers.streams:resize",
        "exec_create": "transom_containers.execs:exec_create",
        "exec_start": "transom_containers.execs:exec_start",
        "exec_resize": "transom_containers.execs:exec_resize",
        "exec_inspect": "transom_containers.execs:exec_inspect",
        "container_list": "transom_containers.lists:container_list",
        "inspect": "transom_containers.lists:inspect",
        "container_sizes": "transom_containers.lists:container_sizes",
        "archive_stat": "transom_containers.files:archive_stat",
        "archive_get": "transom_containers.files:archive_get",
        "archive_put": "transom_containers.files:archive_put",
        "changes": "transom_containers.files:changes",
        "export": "transom_containers.files:export",
        "commit": "transom_containers.commit:commit",
    }
