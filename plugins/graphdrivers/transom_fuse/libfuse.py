"""mfusepy on libfuse 3 or 2, however the machine calls it. Importing this raises `OSError` where there is none."""

from __future__ import annotations

import os
from typing import Any

from transom.runtime.syscalls.libraries import find_symbol
from transom_fuse.probe import find_libfuse

__all__ = ["OLD", "mfusepy", "take_descriptor"]


def _load() -> Any:
    # mfusepy would look for libfuse 2 first, and ask a compiler where it is.
    name = find_libfuse()
    if name is None:
        raise OSError("libfuse cannot be loaded")
    os.environ["FUSE_LIBRARY_PATH"] = name
    import mfusepy

    return mfusepy


mfusepy: Any = _load()
#: Whether this is libfuse 2.
OLD: bool = mfusepy.fuse_version_major == 2


class _Arguments(mfusepy.ctypes.Structure):  # type: ignore[misc]
    """struct fuse_args (fuse_opt.h)."""

    _fields_ = (
        ("argc", mfusepy.ctypes.c_int),
        ("argv", mfusepy.ctypes.POINTER(mfusepy.ctypes.c_char_p)),
        ("allocated", mfusepy.ctypes.c_int),
    )


def take_descriptor(descriptor: int, options: str) -> None:
    """Let `mfusepy.FUSE` serve an open /dev/fuse, which libfuse 2's own main function does not take, with options."""
    ctypes, library = mfusepy.ctypes, mfusepy._libfuse
    library.fuse_kern_chan_new.restype = ctypes.c_void_p
    prototype = ctypes.CFUNCTYPE(
        ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(_Arguments), ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
    )
    new = prototype(find_symbol(library._handle, "fuse_new", "FUSE_2.6"))

    def serve(_count: int, _arguments: Any, operations: Any, size: int, data: Any) -> int:
        words = (ctypes.c_char_p * 3)(b"fuse", b"-o", options.encode())
        arguments = _Arguments(len(words), words, 0)
        channel = library.fuse_kern_chan_new(descriptor)
        session = new(channel, ctypes.byref(arguments), ctypes.cast(operations, ctypes.c_void_p), size, data)
        return int(library.fuse_loop(ctypes.c_void_p(session))) if session else 1

    mfusepy.fuse_main_real = serve
