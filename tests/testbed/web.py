"""What builds fetch: a server of files on loopback, with an archive, and a Git repository."""

from __future__ import annotations

import gzip
import http.server
import io
import os
import signal
import subprocess
import tarfile
import threading
from functools import partial
from pathlib import Path

from testbed.registry import free_port, wait_for_port

__all__ = ["Repository", "Web"]

#: When everything was made.
_TIME = 1_500_000_000
#: Who commits, and when: commits' names are the same each time.
_COMMITTER = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "x"), ("EMAIL", "x@y"), ("DATE", f"{_TIME} +0000"))
}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Web:
    """Serves the files in a directory, at `url`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = ""

    def __enter__(self) -> Web:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(self.root)))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def fill(self) -> None:
        """Put the files there that small builds fetch: a page and an archive."""
        (self.root / "page.txt").write_text("of the web")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            entry = tarfile.TarInfo("inside")
            entry.mode, entry.uid, entry.gid, entry.mtime, entry.size = 0o640, 42, 43, _TIME, 7
            archive.addfile(entry, io.BytesIO(b"inside\n"))
        (self.root / "packed.tgz").write_bytes(gzip.compress(buffer.getvalue(), mtime=0))
        for path in self.root.glob("p*"):
            os.utime(path, (_TIME, _TIME))

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Repository:
    """A Git repository `work.git` below a directory: a branch, a tag, a directory, a Dockerfile.

    As files it is served by whoever serves the directory (`Web`); `with` it, Git's own server has it at `url`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = ""
        work = root / "work"
        work.mkdir()
        _git(work, "init", "-q", "-b", "main")
        (work / "file").write_text("first")
        _git(work, "add", ".")
        _git(work, "commit", "-q", "-m", "first")
        _git(work, "tag", "v1")
        (work / "file").write_text("second")
        (work / "sub").mkdir()
        (work / "sub/Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        (work / "sub/ignored").write_text("x")
        (work / "sub/.dockerignore").write_text("ignored\n")
        _git(work, "add", ".")
        _git(work, "commit", "-q", "-m", "second")
        _git(root, "clone", "-q", "--bare", str(work), str(root / "work.git"))
        _git(root / "work.git", "update-server-info")

    def __enter__(self) -> Repository:
        address = f"127.0.0.1:{free_port()}"
        # fmt: off
        command = [
            "git", "daemon", "--export-all", f"--base-path={self.root}", "--reuseaddr", "--listen=127.0.0.1",
            f"--port={address.rpartition(':')[2]}",
        ]
        # fmt: on
        # It starts a program of its own name, which would outlive it.
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, process_group=0)
        wait_for_port(address, self._process)
        self.url = f"git://{address}/work.git"
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()


def _git(directory: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(directory), *arguments], env={**os.environ, **_COMMITTER}, check=True)
