"""The user's configuration of clients: `config.json` in Docker's directory, which may not be there."""

from __future__ import annotations

import json
import sys
from typing import Any

__all__ = ["read_configuration"]


def read_configuration(path: str) -> dict[str, Any]:
    """Return what a configuration says. One that cannot be read is warned of and says nothing."""
    try:
        with open(path, "rb") as file:
            found = json.load(file)
        if not isinstance(found, dict):
            raise ValueError("it should be an object")
    except (OSError, ValueError) as error:
        print(f"WARNING: Error parsing config file ({path}): {error}", file=sys.stderr)
        return {}
    return found
