"""What the engine knows of registries: the credentials that a client sends along, and what registries answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from transom.graph.content import Descriptor
from transom.graph.model import Platform

__all__ = ["Credentials", "DistributionInfo", "LoginResult", "SearchResult"]


@dataclass(frozen=True)
class Credentials:
    """What a client gives so that the engine can act for it at a registry, as in Docker's `AuthConfig`.

    Either a name and password; or an identity token, which a token server turns into access tokens; or a
    registry token, which is sent to the registry as it is. They are never kept and never shown.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)


@dataclass(frozen=True)
class LoginResult:
    """A registry accepts credentials. `identity_token` takes the place of the password from now on, if there is one."""

    identity_token: str = field(default="", repr=False)


@dataclass(frozen=True)
class DistributionInfo:
    """What a reference stands for at its registry, and the platforms that it is for."""

    descriptor: Descriptor
    platforms: tuple[Platform, ...]


@dataclass(frozen=True)
class SearchResult:
    """A repository that a search has found. `name` is what to pull it by."""

    name: str
    description: str = ""
    stars: int = 0
    official: bool = False
