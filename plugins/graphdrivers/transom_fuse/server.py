"""The processes behind mounts: one that is started with the first of them and forks a server for each.

It has imported what a server needs, so a server costs one fork, and shares its memory. It ends with the daemon; a
server ends when its mount does. Messages are `{"root": …, "layers": […], "work": …}`, with paths of layers below the
root, topmost first, and the working directory's or None; with them come /dev/fuse, mounted already, a channel that the
answer goes to (`{}`, or `{"error": …}`), and the writing end of a pipe, which the server holds for as long as it lives.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
from pathlib import Path
from typing import NoReturn

from transom.runtime.channel import Channel, Message
from transom.runtime.syscalls.processes import set_name
from transom_fuse.union import Tree, Union

__all__ = ["main"]

#: How often reference cycles are looked for: nodes and directories make many that live long.
_GARBAGE = (50_000, 50, 1000)
#: Directories that a server keeps open, where its limit of descriptors allows that.
_MOST_OPEN = 4096


def main(descriptor: int) -> None:
    """Fork servers for as long as the daemon is there."""
    set_name("transom-fuse")
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Servers are nobody's to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # Imported once, for all servers. If it cannot be, each of them says so.
    try:
        from transom_fuse import binding  # noqa: F401
    except OSError:
        pass
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.umask(0)
    gc.collect()
    gc.freeze()
    channel = Channel.of_descriptor(descriptor)
    while received := channel.receive():
        message, descriptors = received
        if os.fork() == 0:
            channel.close()
            _serve(message, *descriptors)
        for each in descriptors:
            os.close(each)


def _serve(message: Message, device: int, answer: int, _life: int) -> NoReturn:
    """Be a server. The pipe's end is held and never written to."""
    code = 1
    try:
        os.setsid()
        gc.set_threshold(*_GARBAGE)
        answers = Channel.of_descriptor(answer)
        try:
            tree = _tree(message)
            from transom_fuse.binding import serve
        except OSError as error:
            answers.send({"error": str(error)})
            raise
        answers.send({})
        answers.close()
        serve(device, tree)
        code = 0
    finally:
        os._exit(code)


def _tree(message: Message) -> Tree:
    root = Path(message["root"])
    layers = [root / layer for layer in message["layers"]]
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most_open = min(_MOST_OPEN, max(16, (soft - len(layers)) // 2))
    if message["work"] is None:
        return Tree(layers, None, most_open=most_open)
    return Union(layers[1:], layers[0], root / message["work"], most_open=most_open)
