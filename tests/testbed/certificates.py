"""A certificate authority of the tests' own, with what it has signed."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["Authority", "Signed"]


class Signed:
    """A certificate and its key, as files."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.certificate = certificate
        self.key = key


class Authority:
    """Makes keys and signs certificates, with openssl, in a directory."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.certificate = directory / f"{name}.crt"
        self._key = directory / f"{name}.key"
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"),
            *("-keyout", self._key, "-out", self.certificate),
        )

    def sign(self, name: str, *addresses: str) -> Signed:
        """Return a certificate of a name, for a server at some addresses or for a client."""
        signed = Signed(self.directory / f"{name}.cert", self.directory / f"{name}.key")
        request, extensions = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        kinds = [f"{'IP' if item[0].isdigit() else 'DNS'}:{item}" for item in (addresses or [name])]
        extensions.write_text(f"subjectAltName={','.join(kinds)}\n")
        _openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", signed.key, "-out", request),
        )
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial"),
            *("-days", "2", "-extfile", extensions, "-out", signed.certificate),
        )
        return signed


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]} failed: {done.stderr}")
