"""What the engine knows of registries: the credentials that a client sends along with a request."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Credentials"]


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
