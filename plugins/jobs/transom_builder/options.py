"""What a client asks of a build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from transom.builds import BuildOutput, BuildSession, CacheStore
from transom.containers.model import Ulimit
from transom.graph.reference import Reference
from transom.registry import Credentials

__all__ = ["BuildOptions"]


@dataclass(frozen=True)
class BuildOptions:
    """The parameters of a build, checked as far as they can be before it begins."""

    dockerfile: str = "Dockerfile"
    #: Where the Dockerfile is, if it is on the web.
    dockerfile_url: str = ""
    #: The directory of the context that is for the builder alone, empty for none.
    hidden: str = ""
    remote: str = ""
    tags: tuple[Reference, ...] = ()
    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    no_cache: bool = False
    #: The stages that nothing is taken for that was made before.
    no_cache_filter: tuple[str, ...] = ()
    pull: bool = False
    network: str = ""
    #: What steps may do that others may not: `network.host`, `security.insecure`.
    allow: tuple[str, ...] = ()
    add_hosts: tuple[str, ...] = ()
    shm_size: int = 0
    ulimits: tuple[Ulimit, ...] = ()
    cache_from: tuple[CacheStore, ...] = ()
    cache_to: tuple[CacheStore, ...] = ()
    outputs: tuple[BuildOutput, ...] = ()
    contexts: Mapping[str, str] = field(default_factory=dict)
    session: BuildSession | None = None
    #: By the name of a registry.
    credentials: Mapping[str, Credentials] = field(default_factory=dict)
    remove: bool = True
    graphdriver: str = ""
    execdriver: str = ""
