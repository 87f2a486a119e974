"""What workloads work with: files that are in the image, and archives, a repository, a package to unpack onto it.

All of it is made anew and is always the same, byte for byte, so that runs on different machines compare.
"""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Final

from transom.errors import TransomError
from transom.graph.archive import Entry, Kind
from transom.graph.archive_writer import END, encode_entry, padding
from transom_bench.scale import Scale

__all__ = ["LARGE", "SMALL", "MissingProgram", "Samples", "archive_stream", "run_program"]

#: Where the image has many small files and a large one.
SMALL: Final = "sample/small"
LARGE: Final = "sample/large"
_PER_DIRECTORY: Final = 50
_TIMEOUT: Final = 600


class MissingProgram(TransomError):
    """A workload is that of a program which is not installed, or which failed."""


def run_program(*command: str, directory: Path | None = None) -> str:
    """Run a program and return what it wrote. Raises `MissingProgram` if it is not there or fails."""
    if shutil.which(command[0]) is None:
        raise MissingProgram(f"{command[0]} is not installed")
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_TIMEOUT,
    )
    if done.returncode:
        raise MissingProgram(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


class Samples:
    """Makes what is needed, in a directory of its own, when it is first needed, and as much of it as `scale` says."""

    def __init__(self, directory: Path, scale: Scale) -> None:
        self._directory = directory
        self.scale = scale

    def layer(self) -> Iterator[bytes]:
        """Yield the layer archive that every tree has on top of its image."""
        chance = random.Random(1)
        for name in ("sample", SMALL):
            yield encode_entry(Entry(name.encode(), Kind.DIRECTORY, 0o755))
        for number in range(self.scale.small_files):
            name = f"{SMALL}/{number // _PER_DIRECTORY}/{number}"
            yield from _file(name, chance.randbytes(chance.randrange(100, 8000)))
        yield from _file(LARGE, chance.randbytes(self.scale.large))
        yield END

    @cached_property
    def source_archive(self) -> Path:
        """An archive of a source tree."""
        path = self._directory / "source.tar"
        with open(path, "wb") as archive:
            for name, content in _sources(self.scale.sources):
                archive.writelines(_file(name, content))
            archive.write(END)
        return path

    @cached_property
    def repository(self) -> Path:
        """A bare repository of git with one commit of a source tree."""
        tree, path = self._directory / "tree", self._directory / "repository.git"
        for name, content in _sources(self.scale.sources):
            file = tree / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
        run_program("git", "init", "--quiet", "--initial-branch=main", str(tree))
        run_program("git", "-C", str(tree), "add", "--all")
        run_program("git", "-C", str(tree), *identity, "commit", "--quiet", "--message", "sources")
        run_program("git", "clone", "--quiet", "--bare", str(tree), str(path))
        return path

    @cached_property
    def package_index(self) -> Path:
        """A directory with a package for pip."""
        path = self._directory / "index"
        path.mkdir()
        info = "sample_package-1.0.dist-info"
        files = {
            f"sample_package/module{number}.py": f"VALUE = {number}\n" * 40 for number in range(self.scale.modules)
        }
        files["sample_package/__init__.py"] = ""
        files[f"{info}/METADATA"] = "Metadata-Version: 2.1\nName: sample-package\nVersion: 1.0\n"
        files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: sample\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
        with zipfile.ZipFile(path / "sample_package-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
            for name, text in files.items():
                wheel.writestr(name, text)
        return path

    @property
    def interpreter(self) -> str:
        """The Python that has pip."""
        return sys.executable


def archive_stream(pieces: Iterator[bytes]) -> io.BufferedReader:
    """Return an archive that is made while it is read."""
    return io.BufferedReader(_Stream(pieces), 1 << 20)


class _Stream(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = piece
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


def _file(name: str, content: bytes) -> Iterator[bytes]:
    yield encode_entry(Entry(name.encode(), Kind.FILE, 0o644, size=len(content)))
    yield content
    yield padding(len(content))


def _sources(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a source tree: names and contents."""
    chance = random.Random(2)
    words = [f"word{number}" for number in range(500)]
    for number in range(count):
        text = "\n".join(" ".join(chance.choices(words, k=8)) for _ in range(chance.randrange(10, 200)))
        yield f"module{number % 40}/part{number % 7}/file{number}.c", text.encode()
