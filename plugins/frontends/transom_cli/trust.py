"""Content trust: signatures of images are not verified here, and asking for that is refused."""

from __future__ import annotations

import os

from transom_cli import values
from transom_cli.errors import CommandFailed

__all__ = ["ABOUT", "UNTRUSTED", "refuse_trust"]

ABOUT = "Skip image verification (also DOCKER_CONTENT_TRUST=0)"


def _is_untrusted() -> bool:
    try:
        return not values.boolean(os.environ.get("DOCKER_CONTENT_TRUST") or "0")
    except ValueError:
        return True


#: What `--disable-content-trust` is where it is not given.
UNTRUSTED = _is_untrusted()


def refuse_trust(disabled: bool) -> None:
    """Raise `CommandFailed` unless `--disable-content-trust` says that signatures need not be verified."""
    if not disabled:
        raise CommandFailed(
            "signatures of images cannot be verified here: unset DOCKER_CONTENT_TRUST or give --disable-content-trust"
        )
