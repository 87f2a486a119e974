"""Passing on to a container the signals that its command gets."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from transom_cli.client import Client
from transom_cli.errors import CommandFailed

__all__ = ["proxied_signals"]

#: Those that cannot be caught, that mean something to this process alone, or that a fault in it raises.
_OWN = {
    signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGURG, signal.SIGWINCH,
    signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL,
}  # fmt: skip


@contextmanager
def proxied_signals(client: Client, container: str, wanted: bool = True) -> Iterator[None]:
    """Send to the container every signal that this process gets, as long as the block lasts."""

    def forward(number: int, _frame: FrameType | None) -> None:
        try:
            client.post(f"/containers/{container}/kill", signal=_name(number))
        except CommandFailed as failure:
            # It may not run yet, or not any more: the caller sees that when it waits for it.
            failure.show()

    with ExitStack() as undo:
        for number in signal.valid_signals() - _OWN if wanted else ():
            undo.callback(signal.signal, number, signal.signal(number, forward))
        yield


def _name(number: int) -> str:
    """Return the signal's name as the API knows it, or its number if it has none."""
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)
