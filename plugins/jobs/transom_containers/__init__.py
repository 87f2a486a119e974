"""The jobs about containers: create, start, stop, kill, wait, logs, attach, exec, list, inspect, remove, pause,
rename, update, top."""

from __future__ import annotations

from collections.abc import Mapping

from transom import hookimpl
from transom.job import Handler

__all__ = ["transom_jobs"]


@hookimpl
def transom_jobs() -> Mapping[str, Handler]:
    from transom_containers import (
        changes,
        commit,
        create,
        execs,
        files,
        lifecycle,
        lists,
        processes,
        prune,
        statistics,
        streams,
    )

    return {
        "create": create.create,
        "start": lifecycle.start,
        "stop": lifecycle.stop,
        "kill": lifecycle.kill,
        "restart": lifecycle.restart,
        "wait": lifecycle.wait,
        "remove": lifecycle.remove,
        "pause": changes.pause,
        "unpause": changes.unpause,
        "rename": changes.rename,
        "update": changes.update,
        "top": processes.top,
        "container_prune": prune.container_prune,
        "stats": statistics.stats,
        "stats_watch": statistics.stats_watch,
        "attach": streams.attach,
        "logs": streams.logs,
        "resize": streams.resize,
        "exec_create": execs.exec_create,
        "exec_start": execs.exec_start,
        "exec_resize": execs.exec_resize,
        "exec_inspect": execs.exec_inspect,
        "container_list": lists.container_list,
        "inspect": lists.inspect,
        "container_sizes": lists.container_sizes,
        "archive_stat": files.archive_stat,
        "archive_get": files.archive_get,
        "archive_put": files.archive_put,
        "changes": files.changes,
        "export": files.export,
        "commit": commit.commit,
    }
