"""The options of a volume: what to mount, as in Docker's `local` driver and fstab(5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from transom.errors import InvalidParameter
from transom.runtime.syscalls import mounts

__all__ = ["MountOptions"]

#: Mount options that are flags of mount(2), and whether the option sets or clears the flag.
_FLAGS: Mapping[str, tuple[bool, int]] = {
    "defaults": (True, 0),
    "ro": (True, mounts.MS_RDONLY),
    "rw": (False, mounts.MS_RDONLY),
    "suid": (False, mounts.MS_NOSUID),
    "nosuid": (True, mounts.MS_NOSUID),
    "dev": (False, mounts.MS_NODEV),
    "nodev": (True, mounts.MS_NODEV),
    "exec": (False, mounts.MS_NOEXEC),
    "noexec": (True, mounts.MS_NOEXEC),
    "bind": (True, mounts.MS_BIND),
    "rbind": (True, mounts.MS_BIND | mounts.MS_REC),
    "relatime": (True, mounts.MS_RELATIME),
    "norelatime": (False, mounts.MS_RELATIME),
    "strictatime": (True, mounts.MS_STRICTATIME),
    "nostrictatime": (False, mounts.MS_STRICTATIME),
    "sync": (True, mounts.MS_SYNCHRONOUS),
    "async": (False, mounts.MS_SYNCHRONOUS),
    "noatime": (True, mounts.MS_NOATIME),
    "atime": (False, mounts.MS_NOATIME),
    "nodiratime": (True, mounts.MS_NODIRATIME),
    "diratime": (False, mounts.MS_NODIRATIME),
}


@dataclass(frozen=True)
class MountOptions:
    """The arguments of mount(2)."""

    kind: str
    device: str
    flags: int = 0
    data: str = ""

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> MountOptions | None:
        """Return what to mount, or None for a plain directory. Raises `InvalidParameter`."""
        for key in options:
            if key == "size":
                raise InvalidParameter("quota size requested but no quota support")
            if key not in ("type", "o", "device"):
                raise InvalidParameter(f'invalid option: "{key}"')
        if not options:
            return None
        for key in ("device", "type"):
            if not options.get(key):
                raise InvalidParameter(f'missing required option: "{key}"')
        flags = 0
        data = []
        for option in filter(None, options.get("o", "").split(",")):
            if option not in _FLAGS:
                data.append(option)
                continue
            sets, flag = _FLAGS[option]
            flags = flags | flag if sets else flags & ~flag
        return cls(options["type"], options["device"], flags, ",".join(data))

    def mount(self, target: Path) -> None:
        """Mount it at a directory. Raises `OSError`; nothing is mounted then."""
        mounts.mount(self.device, target, self.kind, self.flags, self.data)
        if self.flags & mounts.MS_BIND and self.flags & mounts.MS_RDONLY:
            # The first call makes the bind and looks at no other flag (mount(2)).
            try:
                mounts.mount("", target, None, self.flags & ~mounts.MS_REC | mounts.MS_REMOUNT)
            except OSError:
                mounts.umount2(target)
                raise

    def __str__(self) -> str:
        # A password that a network file system wants is not for messages.
        shown = ("password=********" if item.startswith("password=") else item for item in self.data.split(","))
        return f"data: {','.join(shown)}"
