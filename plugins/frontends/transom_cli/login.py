"""`login` and `logout`."""

from __future__ import annotations

import os
import sys

from transom_cli.client import Client
from transom_cli.credentials import INDEX, Credentials, Store, hostname
from transom_cli.errors import CommandFailed, DaemonError
from transom_cli.flags import BOOL, api_command, flag
from transom_cli.notes import print_note

__all__ = ["login", "logout"]

_INSECURE = "WARNING! Using --password via the CLI is insecure. Use --password-stdin."
_REGISTER = (
    "Log in with your Docker ID or email address to push and pull images from Docker Hub. If you don't have a Docker"
    " ID, head over to https://hub.docker.com/ to create one."
)
_TOKENS = (
    "You can log in with your password or a Personal Access Token (PAT). Using a limited-scope PAT grants better"
    " security and is required for organizations using SSO. Learn more at https://docs.docker.com/go/access-tokens/\n"
)


@api_command(
    "login",
    "[SERVER]",
    about="Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.",
    most=1,
)
@flag("--password", "-p", about="Password or Personal Access Token (PAT)")
@flag("--password-stdin", kind=BOOL, about="Take the Password or Personal Access Token (PAT) from stdin")
@flag("--username", "-u", about="Username")
def login(
    client: Client, arguments: list[str], *, username: str | None, password: str | None, password_stdin: bool
) -> None:
    """Have the daemon try credentials at a registry, and keep them if they are good."""
    given = _password(username, password, password_stdin)
    name = arguments[0] if arguments else ""
    server = INDEX if name in ("", "docker.io", INDEX) else hostname(name)
    store = Store(client.file, server)
    known = Credentials(server)
    if not username and not given:
        known = store.get()
        if known.username and known.password and _login_again(client, store, known):
            return
    entered = _ask(username or "", given, known)
    _log_in(client, store, entered)


def _password(username: str | None, password: str | None, from_stdin: bool) -> str:
    """Return the password that was given, empty if none was."""
    if from_stdin and password:
        raise CommandFailed("conflicting options: cannot specify both --password and --password-stdin")
    if from_stdin and not username:
        raise CommandFailed("the --password-stdin option requires --username to be set")
    if not from_stdin:
        if password:
            CommandFailed(_INSECURE).show()
        return password or ""
    return sys.stdin.buffer.read().decode(errors="surrogateescape").removesuffix("\n").removesuffix("\r")


def _login_again(client: Client, store: Store, known: Credentials) -> bool:
    """Try what is kept, and return whether it is good."""
    print(f"Authenticating with existing credentials... [Username: {known.username}]", file=sys.stderr)
    print_note("To login with a different account, run 'transom logout' followed by 'transom login'", sys.stderr)
    print("\n", file=sys.stderr)
    try:
        _log_in(client, store, known)
    except DaemonError as failure:
        if failure.status == 401:
            CommandFailed("Stored credentials invalid or expired").show()
        else:
            CommandFailed(f"Login did not succeed, error: {failure.message}").show()
        return False
    return True


def _log_in(client: Client, store: Store, known: Credentials) -> None:
    reply = client.post("/auth", known.fields()) or {}
    if reply.get("IdentityToken"):
        known = known._replace(password="", identity_token=reply["IdentityToken"])
    try:
        store.store(known)
    except CommandFailed as failure:
        raise CommandFailed(f"Error saving credentials: {failure.message}") from failure
    if reply.get("Status"):
        print(reply["Status"])


def _ask(username: str, password: str, known: Credentials) -> Credentials:
    """Return the credentials, asking the user for what was not given."""
    if not (username and password) and not os.isatty(0):
        raise CommandFailed("Error: Cannot perform an interactive login from a non TTY device")
    username = username.strip()
    if not username:
        if known.server == INDEX:
            print(_REGISTER)
            print(_TOKENS)
        default = f" ({known.username})" if known.username else ""
        username = _read_line(f"Username{default}: ") or known.username
        if not username:
            raise CommandFailed("error: username is required")
    if not password.strip():
        password = _read_password()
        if not password:
            raise CommandFailed("error: password is required")
    return Credentials(known.server, username, password)


def _read_line(prompt: str) -> str:
    print(prompt, end="", flush=True)
    return sys.stdin.readline().strip()


def _read_password() -> str:
    """Read a password that is not shown while it is typed."""
    import termios

    before = termios.tcgetattr(0)
    silent = [*before]
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(0, termios.TCSAFLUSH, silent)
    try:
        return _read_line("Password: ")
    finally:
        termios.tcsetattr(0, termios.TCSAFLUSH, before)
        print(flush=True)


@api_command(
    "logout",
    "[SERVER]",
    about="Log out from a registry.\nIf no server is specified, the default is defined by the daemon.",
    most=1,
)
def logout(client: Client, arguments: list[str]) -> None:
    """Forget the credentials for a registry, under each name that clients have kept them by."""
    server = arguments[0] if arguments else INDEX
    names, host = [server], server
    if server != INDEX:
        host = hostname(server)
        names = list(dict.fromkeys((server, host, f"http://{host}", f"https://{host}")))
    print("Removing login credentials for", host, flush=True)
    failures = {}
    for name in names:
        try:
            Store(client.file, name).erase()
        except CommandFailed as failure:
            failures[name] = failure.message
    # One that worked is enough: nothing is known of the others.
    if len(failures) == len(names):
        CommandFailed("WARNING: could not erase credentials:").show()
        for name, message in failures.items():
            CommandFailed(f"{name}: {message}").show()
