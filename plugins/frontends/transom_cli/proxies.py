"""The proxies of the user's configuration, which containers get as variables."""

from __future__ import annotations

from typing import Any

__all__ = ["with_proxies"]

#: The variables that programs look for, and what `proxies` calls them.
_PROXIES = {
    "HTTP_PROXY": "httpProxy",
    "HTTPS_PROXY": "httpsProxy",
    "NO_PROXY": "noProxy",
    "FTP_PROXY": "ftpProxy",
    "ALL_PROXY": "allProxy",
}


def with_proxies(environment: list[str], proxies: Any, host: str) -> list[str]:
    """Return a container's variables with those of the proxies for a daemon's address, or else of the default ones.

    They are there in upper and lower case; a variable that the container has been given stays.
    """
    found = (proxies.get(host) or proxies.get("default") or {}) if isinstance(proxies, dict) else {}
    given = {variable.partition("=")[0] for variable in environment}
    added = [
        f"{spelling}={found[field]}"
        for name, field in _PROXIES.items()
        if found.get(field)
        for spelling in (name, name.lower())
        if spelling not in given
    ]
    return [*environment, *added]
