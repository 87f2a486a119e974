"""The certificates that one registry is known by, and that it is to know us by: Docker's `certs.d`.

Below each root is a directory per server, named `HOST` or `HOST:PORT`. In it each `*.crt` is a certificate authority
that is trusted for that server besides the machine's own ones, and each `NAME.cert` a client certificate whose key is
`NAME.key`.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from transom.errors import RegistryError

__all__ = ["Certificates"]

_HTTPS_PORT = 443


class Certificates:
    """What the directories below some roots say; called for each connection, so that new files count at once."""

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = tuple(map(Path, roots))

    def __call__(self, context: ssl.SSLContext, host: str, port: int) -> None:
        """Add a server's certificates to the context of a connection to it.

        OpenSSL presents one client certificate per kind of key; of several, the last by name. Raises `RegistryError`
        for a certificate without its key, a key without its certificate, and files that cannot be read.
        """
        for directory in self._directories(host, port):
            try:
                names = sorted(path.name for path in directory.iterdir())
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise RegistryError(f"cannot read the certificates in {directory}: {error.strerror}") from error
            for name in names:
                _add(context, directory, name, names)

    def _directories(self, host: str, port: int) -> Iterator[Path]:
        literal = f"[{host.strip('[]')}]" if ":" in host else host
        for root in self._roots:
            if port == _HTTPS_PORT:
                yield root / literal
            yield root / f"{literal}:{port}"


def _add(context: ssl.SSLContext, directory: Path, name: str, names: list[str]) -> None:
    path = directory / name
    stem = name.rpartition(".")[0]
    match path.suffix:
        case ".cert":
            if f"{stem}.key" not in names:
                raise RegistryError(
                    f"missing key {stem}.key for client certificate {name} in {directory}. CA certificates must use the"
                    " extension .crt"
                )
            with _reading(path):
                context.load_cert_chain(path, directory / f"{stem}.key", password=_refuse_password)
        case ".key":
            if f"{stem}.cert" not in names:
                raise RegistryError(f"missing client certificate {stem}.cert for key {name} in {directory}")
        case ".crt":
            with _reading(path):
                context.load_verify_locations(path)


def _refuse_password() -> str:
    """Be asked for the password of a key in the place of the terminal, which a daemon has none of."""
    raise ValueError("the key is protected by a password")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file into a sentence about it."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RegistryError(f"cannot use the certificate {path}: {reason}") from error
