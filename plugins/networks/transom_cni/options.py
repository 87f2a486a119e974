"""The options of CNI networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transom.drivers.network import Network
from transom.errors import InvalidParameter

__all__ = ["Options"]

_CONFIG, _CONFIG_DIR, _PLUGIN_DIR = "config", "config-dir", "plugin-dir"
_CONFIGURATIONS = "/etc/cni/net.d"
#: Debian's, and where others put them.
_PLUGINS = "/usr/lib/cni:/opt/cni/bin"


@dataclass(frozen=True)
class Options:
    """The name of a network's configuration and its directory, and the directories of plugins."""

    config: str
    directory: Path
    plugins: tuple[str, ...]

    @classmethod
    def of(cls, network: Network) -> Options:
        """Return a network's options. Raises `InvalidParameter` for one that there is not, or a wrong value."""
        given = dict(network.options)
        config = given.pop(_CONFIG, "") or network.name
        directory = given.pop(_CONFIG_DIR, "") or _CONFIGURATIONS
        plugins = given.pop(_PLUGIN_DIR, "") or _PLUGINS
        for name in given:
            raise InvalidParameter(f"the network driver cni has no option {name!r}")
        for path in (directory, *plugins.split(":")):
            if not path.startswith("/"):
                raise InvalidParameter(f"{path!r} is no absolute path of a directory")
        return cls(config, Path(directory), tuple(plugins.split(":")))
