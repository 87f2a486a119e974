"""mfusepy on libfuse 3, however the machine calls it. Importing this raises `OSError` where there is none."""

from __future__ import annotations

import os
from typing import Any

from transom_fuse.probe import LIBFUSE_NAMES

__all__ = ["mfusepy"]


def _load() -> Any:
    # mfusepy would look for libfuse 2 first, and ask a compiler where it is.
    for name in LIBFUSE_NAMES:
        os.environ["FUSE_LIBRARY_PATH"] = name
        try:
            import mfusepy
        except OSError:
            continue
        return mfusepy
    raise OSError(f"none of {' and '.join(LIBFUSE_NAMES)} can be loaded")


mfusepy: Any = _load()
