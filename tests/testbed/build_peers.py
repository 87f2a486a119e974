"""Others that build images: BuildKit, Docker's own builder before it, and buildah.

Their programs are Debian's, or, where the variable `PEER_ROOT` names a directory, those of packages that are unpacked
there (`dpkg -x`): dockerd, its client with buildx, containerd and buildah of a newer release run where the libraries
of this one will do.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol

from testbed.build_cases import Case, Names
from testbed.host import detach_mounts
from testbed.peer import Peer

__all__ = ["ROOT", "BuildFailed", "BuildKit", "BuildPeer", "Buildah", "Classic"]

#: Below which directory the programs are.
ROOT = Path(os.environ.get("PEER_ROOT", "/"))


class BuildFailed(Exception):
    """A build failed; the message is the last thing that was said."""


class BuildPeer(Protocol):
    """Builds cases as somebody else does."""

    #: What its recording is called.
    name: ClassVar[str]

    def version(self) -> str:
        """Return what it is, with its version."""

    def build(self, case: Case, names: Names, place: Path) -> Path:
        """Return an archive of the image that is made of `place/context`. Raises `BuildFailed`."""


class BuildKit:
    """The builder that is in dockerd."""

    name: ClassVar[str] = "buildkit"
    _switch: ClassVar[Mapping[str, str]] = {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def version(self) -> str:
        """Return dockerd's version: BuildKit's own is not told by all."""
        return f"BuildKit of {self._dockerd()}"

    def build(self, case: Case, names: Names, place: Path) -> Path:
        """Build on the network of the host, and save."""
        # Names of images are those of the directories, which are of one run.
        tag, archive = f"case{place.name}", place / "image.tar"
        done = self._run("build", "--network", "host", "-t", tag, *case.flags(place), str(place / "context"))
        if done.returncode:
            raise BuildFailed(_last(done))
        self._peer.docker("save", "-o", str(archive), tag)
        return archive

    def _dockerd(self) -> str:
        return f"dockerd {self._peer.docker('version', '--format', '{{.Server.Version}}').stdout.strip()}"

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self._peer.client), "-H", self._peer.host, *arguments],
            env={**self._peer.environment(), **self._switch},
            capture_output=True,
            text=True,
        )


class Classic(BuildKit):
    """Docker's own builder, as it was before BuildKit."""

    name: ClassVar[str] = "classic"
    _switch: ClassVar[Mapping[str, str]] = {"DOCKER_BUILDKIT": "0"}

    def version(self) -> str:
        """Return dockerd's version."""
        return f"Docker's own builder of {self._dockerd()}"


class Buildah:
    """buildah, with its images below a directory, from which `with` takes away the mounts."""

    name: ClassVar[str] = "buildah"

    def __init__(self, directory: Path, base: str, root: Path = ROOT) -> None:
        self._directory = directory
        self._base = base
        # fmt: off
        self._command = [
            str(root / "usr/bin/buildah"), "--root", str(directory / "root"), "--runroot", str(directory / "run"),
            "--storage-driver", "overlay",
        ]
        # fmt: on
        self._runtime = str(root / "usr/sbin/runc")
        # It wants to know where programs for networks are, also where it makes none.
        self._configuration = directory / "containers.conf"
        self._configuration.write_text(f'[engine]\nhelper_binaries_dir = ["{root / "usr/lib/podman"}"]\n')

    def __enter__(self) -> Buildah:
        done = self._run("pull", "--tls-verify=false", self._base)
        assert done.returncode == 0, done.stderr
        return self

    def __exit__(self, *_: object) -> None:
        detach_mounts(self._directory)

    def version(self) -> str:
        """Return its version."""
        return " ".join(self._run("--version").stdout.split()[:3])

    def build(self, case: Case, names: Names, place: Path) -> Path:
        """Build on the network of the host, and write an archive as Docker does."""
        tag, archive = f"localhost/case{place.name}", place / "image.tar"
        # fmt: off
        flags = (
            "--format", "docker", "--layers", "--pull=never", "--tls-verify=false", "--network", "host",
            "--identity-label=false", "--runtime", self._runtime, "--ulimit", "nofile=1024:1024",
            "--ulimit", "nproc=1024:1024",
        )
        # fmt: on
        done = self._run("build", *flags, "-t", tag, *case.flags(place), str(place / "context"))
        if done.returncode:
            raise BuildFailed(_last(done))
        written = self._run("push", tag, f"docker-archive:{archive}:{tag}")
        assert written.returncode == 0, written.stderr
        return archive

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # Caches that steps mount are among the temporary files, and are kept.
        environment = {**os.environ, "CONTAINERS_CONF": str(self._configuration), "TMPDIR": str(self._directory)}
        return subprocess.run([*self._command, *arguments], env=environment, capture_output=True, text=True)


def _last(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
