"""The exec driver `chroot`: a mount namespace and a changed root, for machines that allow no more."""

from __future__ import annotations

from transom import hookimpl
from transom.drivers import ExecDriver

__all__ = ["transom_execdrivers"]


@hookimpl
def transom_execdrivers() -> list[type[ExecDriver]]:
    from transom_chroot.driver import ChrootDriver

    return [ChrootDriver]
