"""libnftables: the library behind the command nft(8), whose language it takes, in transactions.

It is a library of the machine's like libc, and optional: `Nftables` raises `OSError` where it is not installed.
"""

from __future__ import annotations

import ctypes
import errno
import threading

__all__ = ["Nftables"]

_LIBRARY = "libnftables.so.1"


class Nftables:
    """A connection to the packet filter of the network namespace that the calling thread is in when it is made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._library = ctypes.CDLL(_LIBRARY)
        self._library.nft_ctx_new.restype = ctypes.c_void_p
        self._library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        context = self._library.nft_ctx_new(0)
        if not context:
            raise OSError(errno.ENOMEM, "nft_ctx_new failed")
        self._context = ctypes.c_void_p(context)
        self._library.nft_ctx_buffer_error(self._context)
        self._library.nft_ctx_buffer_output(self._context)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._library.nft_ctx_free(self._context)

    def run(self, commands: str) -> None:
        """Do all of the commands or none. Raises `OSError` with the first complaint."""
        with self._lock:
            if not self._library.nft_run_cmd_from_buffer(self._context, ctypes.c_char_p(commands.encode())):
                return
            complaint = self._library.nft_ctx_get_error_buffer(self._context).decode(errors="replace")
        first = complaint.splitlines()[0] if complaint else "no reason given"
        number = errno.ENOENT if "No such file or directory" in first else errno.EINVAL
        raise OSError(number, f"nftables: {first}")
