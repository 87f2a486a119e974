"""A full disk is an error of its own, with its own status."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from transom.errors import StorageFull

__all__ = ["storage_full"]


@contextmanager
def storage_full(attempt: str) -> Iterator[None]:
    """Turn ENOSPC and EDQUOT in a `with` block into `StorageFull`; `attempt` reads "store the blob …"."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StorageFull(f"cannot {attempt}: no space is left on the disk, free some and try again") from error
