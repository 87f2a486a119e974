"""What kind of machine this is."""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["cgroup_version", "memory", "operating_system"]


def operating_system() -> tuple[str, str]:
    """Return the name of the operating system and its version (os-release(5)), "Linux" where they are not told."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "Linux", ""
    return release.get("PRETTY_NAME", "Linux"), release.get("VERSION_ID", "")


def memory() -> int:
    """Return the bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def cgroup_version() -> str:
    """Return "2" where the unified hierarchy of cgroups is mounted in its usual place, "1" elsewhere."""
    return "2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "1"
