"""The init of a container that was made with `--init`: it reaps what nobody waits for, and passes signals on.

It is the process that would otherwise have become the user's program, and has that as its only child. There is no
binary of it in the container: it goes on as the interpreter that its shim was forked from, and shares that one's pages.
It can be looked into by nobody in the container (PR_SET_DUMPABLE stays off, as it executes nothing), has no descriptor
but the standard ones, and the user and capabilities of the program.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from transom.runtime.program import become_user, exit_code_of, run_program
from transom.runtime.syscalls import processes

__all__ = ["INIT_ANNOTATION", "execute_under_init"]

#: In config.json: whether an exec driver that has `inits` gives the program one.
INIT_ANNOTATION = "transom.init"
#: What ps shows, as with Docker's.
_TITLE = ("/sbin/docker-init", "--")
#: Signals that a process raises by a fault of its own.
_FAULTS = {
    signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS,
}  # fmt: skip


def execute_under_init(process: Mapping[str, Any], ready: Callable[[], None]) -> NoReturn:
    """Become an init, and let a child become the user's program.

    `ready` is called in the init when there is a child; that raises `StartFailed` if it cannot execute the program.
    """
    processes.set_name(os.path.basename(_TITLE[0]))
    processes.set_command_line((*_TITLE, *process["args"]))
    become_user(process)
    # Where it is not the first process of a namespace, what loses its parent comes to it all the same.
    processes.set_child_subreaper()
    waited_for = signal.valid_signals() - _FAULTS
    signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    child = processes.clone3()
    if not child:
        _lead_terminal()
        run_program(process)
    ready()
    _serve(child, waited_for)


def _lead_terminal() -> None:
    """Have a process group of one's own, in the foreground of the terminal if there is one."""
    os.setpgid(0, 0)
    if os.isatty(0):
        os.tcsetpgrp(0, os.getpid())


def _serve(child: int, signals: set[signal.Signals]) -> NoReturn:
    """Pass signals on and reap, until the child has ended; end as it did."""
    while True:
        number = signal.sigwait(signals)
        if number != signal.SIGCHLD:
            _pass_on(child, number)
            continue
        while (ended := _reap()) is not None:
            pid, status = ended
            if pid == child:
                os._exit(exit_code_of(status))


def _pass_on(child: int, number: int) -> None:
    try:
        os.kill(child, number)
    except (ProcessLookupError, PermissionError):
        # It has ended just now, or has become another user.
        pass


def _reap() -> tuple[int, int] | None:
    """Return a process that has ended with its status, or None if there is none."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None
