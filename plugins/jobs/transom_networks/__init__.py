"""The jobs about networks: `network_create`, `network_list`, `network_connect` and their siblings."""

from __future__ import annotations

from collections.abc import Mapping

from transom import hookimpl
from transom.job import Handler

__all__ = ["transom_jobs"]


@hookimpl
def transom_jobs() -> Mapping[str, Handler]:
    from transom_networks import connecting, listing, making

    return {
        "network_create": making.network_create,
        "network_remove": making.network_remove,
        "network_prune": making.network_prune,
        "network_list": listing.network_list,
        "network_inspect": listing.network_inspect,
        "network_connect": connecting.network_connect,
        "network_disconnect": connecting.network_disconnect,
    }
