"""The spawner: a small single-threaded process that forks a shim per container.

It is an interpreter of its own, started with the daemon, that has imported what a shim needs and nothing else. Its
heap is frozen, so its children share it, with the garbage collector never touching a page. A new shim costs one fork
instead of an interpreter's start. It ends with the daemon; the shims do not.

Messages that it takes: `{"op": "preload", "modules": [...]}` imports the drivers' modules; `{"op": "spawn",
"directory": …, …}` with one descriptor, the shim's end of its channel to the daemon, makes a shim
(`transom.runtime.shim` says what the other fields are).
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from transom.runtime.channel import Channel
from transom.runtime.limits import restore_descriptor_limit

__all__ = ["main", "start_spawner"]


def start_spawner(log: Path) -> tuple[subprocess.Popen[bytes], Channel]:
    """Start a spawner, whose complaints go to a file, and return its process and the channel to it."""
    ours, theirs = Channel.pair()
    descriptor = theirs.fileno()
    with open(log, "ab") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", f"from transom.runtime import spawner; spawner.main({descriptor})"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=(descriptor,),
            start_new_session=True,
            cwd="/",
        )
    theirs.close()
    restore_descriptor_limit(process.pid)
    return process, ours


def main(descriptor: int) -> None:
    """Serve the daemon until it is gone."""
    from transom.runtime import shim
    from transom.runtime.syscalls.processes import set_name

    set_name("transom-spawner")
    # Shims are nobody's to wait for: the kernel reaps them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = Channel.of_descriptor(descriptor)
    gc.disable()
    gc.freeze()
    while received := channel.receive():
        message, descriptors = received
        if message["op"] == "preload":
            for module in message["modules"]:
                importlib.import_module(module)
            gc.collect()
            gc.freeze()
        elif message["op"] == "spawn" and os.fork() == 0:
            channel.close()
            shim.main(message, Channel.of_descriptor(descriptors[0]))
        for descriptor in descriptors:
            os.close(descriptor)
