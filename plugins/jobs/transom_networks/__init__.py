"""The jobs about networks: `network_create`, `network_list`, `network_connect` and their siblings."""

from __future__ import annotations

from collections.abc import Mapping

from transom import hookimpl
from transom.job import HandlerName

__all__ = ["transom_jobs"]


@hookimpl
def transom_jobs() -> Mapping[str, HandlerName]:
    return {
        "network_create": "transom_networks.making:network_create",
        "network_remove": "transom_networks.making:network_remove",
        "network_prune": "transom_networks.making:network_prune",
        "network_list": "transom_networks.listing:network_list",
        "network_inspect": "transom_networks.listing:network_inspect",
        "network_connect": "transom_networks.connecting:network_connect",
        "network_disconnect": "transom_networks.connecting:network_disconnect",
    }
