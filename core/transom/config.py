"""The daemon's configuration: its defaults, and the file that changes them."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any

from transom.errors import InvalidParameter

__all__ = ["DEFAULT_CONFIG_FILE", "DEFAULT_HOST", "Config"]

DEFAULT_HOST = "unix:///run/transom.sock"
DEFAULT_CONFIG_FILE = Path("/etc/transom/daemon.toml")


@dataclass(frozen=True)
class Config:
    """How one engine is set up. `load` reads the same names, with hyphens, from a TOML file."""

    #: Where everything that lasts is kept: database, content, layers, containers, volumes.
    data_root: Path = Path("/var/lib/transom")
    #: Where everything that a reboot ends is kept: sockets, shims, mounts.
    exec_root: Path = Path("/run/transom")
    #: The sockets that the API listens on: `unix:///path`.
    hosts: tuple[str, ...] = (DEFAULT_HOST,)
    #: The graph driver for containers that name none; empty means the best one that works here.
    graphdriver: str = ""
    #: The exec driver for containers that name none; empty means the best one that works here.
    execdriver: str = ""
    #: The network of containers that name none; empty means `bridge`, or `none` where that does not work.
    network: str = ""
    #: Where subnets are taken from that nobody gave, each as `base=10.10.0.0/16,size=24`; Docker's where empty.
    default_address_pools: tuple[str, ...] = ()
    #: The default bridge's address with its prefix length, and the part of its subnet that containers have.
    bip: str = ""
    fixed_cidr: str = ""
    #: The same for IPv6, which the default bridge has if `ipv6` is set.
    bip6: str = ""
    fixed_cidr_v6: str = ""
    ipv6: bool = False
    #: Where containers ask for names that are no container's, instead of where the machine does.
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opts: tuple[str, ...] = ()
    #: The default bridge's MTU, 0 for the kernel's; whether its containers reach each other; whether what they send
    #: outwards is masqueraded.
    mtu: int = 0
    icc: bool = True
    ip_masq: bool = True
    #: The log driver of containers that name none.
    log_driver: str = "json-file"
    #: The options of logs of that driver, where a container has no others.
    log_opts: Mapping[str, str] = field(default_factory=dict)
    #: The parent cgroup of all containers, below each hierarchy's root.
    cgroup_parent: str = "transom"
    #: Base addresses of mirrors that are asked before docker.io.
    registry_mirrors: tuple[str, ...] = ()
    #: Registries (`host:port`, or networks) that are spoken to in plain HTTP, or HTTPS without verification.
    #: Loopback addresses always are.
    insecure_registries: tuple[str, ...] = ()
    #: Where registries' own certificates are, in a directory per `host:port` (Docker's `certs.d`).
    certificates: tuple[str, ...] = ("/etc/docker/certs.d", "/etc/transom/certs.d")
    #: Where volume plugins of other processes are found: their sockets (NAME.sock), and files that say where they
    #: listen (NAME.spec, NAME.json).
    volume_plugins: tuple[str, ...] = ("/run/docker/plugins", "/etc/docker/plugins", "/usr/lib/docker/plugins")
    #: How many layers of one pull are downloaded at the same time.
    max_concurrent_downloads: int = 3
    #: How many layers of one push are uploaded at the same time.
    max_concurrent_uploads: int = 5
    #: How often a download or an upload is tried again after a failure that may pass.
    max_download_attempts: int = 5
    #: The bound of the engine's thread pool.
    threads: int = 256
    #: Seconds without a client and without a running container after which the daemon ends; None is never.
    idle_exit: float | None = None
    #: Labels that `info` shows, as `key=value`.
    labels: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path | None = None, **overrides: Any) -> Config:
        """Return the configuration from a TOML file, with what the command line says on top.

        Without a path the default file is read if it exists. `overrides` whose value is None, () or {} are
        left out. Raises `InvalidParameter` for a file that cannot be read, an unknown name or a wrong type.
        """
        values: dict[str, Any] = {}
        source = path or DEFAULT_CONFIG_FILE
        if path is not None or source.exists():
            try:
                values = tomllib.loads(source.read_text())
            except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
                raise InvalidParameter(f"cannot read the configuration file {source}: {error}") from error
        defaults = {
            item.name: item.default if item.default_factory is MISSING else item.default_factory()
            for item in dataclasses.fields(cls)
        }
        known: dict[str, Any] = {}
        for key, value in values.items():
            name = key.replace("-", "_")
            if name not in defaults:
                raise InvalidParameter(f"the configuration file {source} has the unknown key {key!r}")
            known[name] = _checked(source, key, value, defaults[name])
        known.update({key: value for key, value in overrides.items() if value is not None and value not in ((), {})})
        return cls(**known)


def _checked(source: Path, key: str, value: Any, default: Any) -> Any:
    """Return a value of the configuration file as the type of its field, or raise `InvalidParameter`."""
    match default:
        case Path():
            wanted, fits = "a path", isinstance(value, str)
        case tuple():
            wanted = "a list of strings"
            fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
        case dict():
            wanted = "a table of strings"
            fits = isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
        case None:
            wanted, fits = "a number", isinstance(value, (int, float)) and not isinstance(value, bool)
        case _:
            wanted, fits = f"of type {type(default).__name__}", type(value) is type(default)
    if not fits:
        raise InvalidParameter(f"the configuration file {source} has {key} = {value!r}, which should be {wanted}")
    if isinstance(default, Path):
        return Path(value)
    return tuple(value) if isinstance(default, tuple) else value
