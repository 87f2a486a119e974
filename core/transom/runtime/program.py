"""The last steps of a child: from "everything is built" to the user's program.

`process` is the object of that name in config.json (OCI runtime specification, config.md, "Process").
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import termios
from collections.abc import Mapping
from typing import Any

from transom.drivers.exec import Stdio
from transom.errors import StartFailed
from transom.runtime.capabilities import last_capability, mask
from transom.runtime.syscalls import processes

__all__ = [
    "DEFAULT_PATH",
    "become_user",
    "execute",
    "exit_code_of",
    "open_terminal",
    "run_program",
    "take_stdio",
    "take_terminal",
]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TIOCGPTPEER = 0x5441
#: The kernel has forgotten what it was for, and takes it; the module `resource` does not know it.
_RLIMIT_LOCKS = 10
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126


def open_terminal(ptmx: str | int) -> tuple[int, int]:
    """Make a pseudo-terminal and return its controlling end and the process's (pty(7))."""
    controlling = ptmx if isinstance(ptmx, int) else os.open(ptmx, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    # TIOCSPTLCK with 0 unlocks the other end.
    fcntl.ioctl(controlling, 0x40045431, b"\0\0\0\0")
    return controlling, fcntl.ioctl(controlling, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def take_terminal(terminal: int) -> None:
    """Make a terminal the controlling one and the three standard descriptors. The process leads its session."""
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    take_stdio(Stdio(terminal, terminal, terminal))


def take_stdio(stdio: Stdio) -> None:
    """Make three descriptors the standard ones; they are above 2."""
    for number, descriptor in enumerate((stdio.stdin, stdio.stdout, stdio.stderr)):
        os.dup2(descriptor, number)


def exit_code_of(status: int) -> int:
    """Return a wait status as a shell's exit code: 128 and the signal's number for a killed process."""
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def execute(process: Mapping[str, Any]) -> None:
    """Become the user's program. Does not return; raises `StartFailed`."""
    become_user(process)
    run_program(process)


def become_user(process: Mapping[str, Any]) -> None:
    """Take on what a process has besides its program: directory, limits, user and capabilities.

    Raises `StartFailed`.
    """
    _enter(process["cwd"])
    for limit in process.get("rlimits", ()):
        _limit(limit["type"], limit["soft"], limit["hard"])
    if "oomScoreAdj" in process:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(process["oomScoreAdj"]))
    _become(process["user"], process.get("capabilities", {}))
    # The change of user cleared it (prctl(2)).
    processes.set_parent_death_signal(signal.SIGKILL)
    if process.get("noNewPrivileges"):
        processes.set_no_new_privileges()


def run_program(process: Mapping[str, Any]) -> None:
    """Execute the program. Does not return; raises `StartFailed`."""
    environment = dict(item.split("=", 1) for item in process.get("env", ()) if "=" in item)
    processes.set_parent_death_signal(signal.SIGKILL)
    _reset_signals()
    program = _find(process["args"][0], environment.get("PATH", DEFAULT_PATH))
    try:
        os.execve(program, list(process["args"]), environment)
    except OSError as error:
        raise _refusal(process["args"][0], error) from error


def _enter(directory: str) -> None:
    try:
        os.chdir(directory)
        # A directory outside the root has no path (getcwd(2)).
        os.getcwd()
    except OSError as error:
        raise StartFailed(
            f'unable to start container process: chdir to cwd ("{directory}") set in config.json failed:'
            f" {os.strerror(error.errno or 0).lower()}",
            _NOT_FOUND if error.errno == errno.ENOENT else _NOT_EXECUTABLE,
        ) from error


def _limit(name: str, soft: int, hard: int) -> None:
    try:
        resource.setrlimit(
            _RLIMIT_LOCKS if name == "RLIMIT_LOCKS" else getattr(resource, name), (_signed(soft), _signed(hard))
        )
    except (ValueError, OSError) as error:
        raise StartFailed(
            f"unable to start container process: cannot set the limit {name} to {soft}:{hard}: {error}"
        ) from error


def _signed(value: int) -> int:
    return -1 if value == 2**64 - 1 else value


def _become(user: Mapping[str, Any], capabilities: Mapping[str, list[str]]) -> None:
    """Take on the user, the groups and exactly the given capabilities."""
    bounding, effective, permitted, inheritable, ambient = (
        mask(capabilities.get(kind, ())) for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")
    )
    for number in range(last_capability() + 1):
        if not bounding >> number & 1:
            processes.drop_bounding(number)
    processes.set_keep_capabilities(True)
    os.setgroups(user.get("additionalGids", []))
    os.setresgid(user["gid"], user["gid"], user["gid"])
    os.setresuid(user["uid"], user["uid"], user["uid"])
    processes.set_keep_capabilities(False)
    processes.capset(effective, permitted, inheritable)
    processes.clear_ambient()
    for number in range(last_capability() + 1):
        if ambient >> number & 1:
            processes.set_ambient(number)
    if "umask" in user:
        os.umask(user["umask"])
    else:
        os.umask(0o022)


def _reset_signals() -> None:
    """Undo what the shim and the interpreter ignore, since ignored signals stay ignored over execve."""
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _find(name: str, path: str) -> str:
    """Return the path of a program. Raises `StartFailed` with the code that a shell would give."""
    if "/" in name:
        try:
            os.stat(name)
        except OSError as error:
            raise _refusal(name, error) from error
        return name
    if not name:
        raise _refusal(name, OSError(errno.ENOENT, os.strerror(errno.ENOENT)))
    refused: OSError | None = None
    for directory in path.split(":"):
        candidate = f"{directory or '.'}/{name}"
        if os.path.isdir(candidate):
            continue
        if os.access(candidate, os.X_OK, effective_ids=True):
            return candidate
        try:
            os.stat(candidate)
        except OSError as error:
            # Anything else, such as a file system whose server is gone, is not that there is none.
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG):
                raise _refusal(name, error) from error
        else:
            refused = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if refused is not None:
        raise _refusal(name, refused)
    raise StartFailed(
        f'unable to start container process: exec: "{name}": executable file not found in $PATH', _NOT_FOUND
    )


def _refusal(name: str, error: OSError) -> StartFailed:
    prefix = f'unable to start container process: exec: "{name}": '
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return StartFailed(f"{prefix}stat {name}: {os.strerror(error.errno).lower()}", _NOT_FOUND)
    if os.path.isdir(name):
        return StartFailed(f"{prefix}is a directory", _NOT_EXECUTABLE)
    return StartFailed(f"{prefix}{os.strerror(error.errno or 0).lower()}", _NOT_EXECUTABLE)
