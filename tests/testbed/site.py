"""Packages of plugins that are not Transom's: in a directory that Python finds them in, as if they were installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["EXAMPLE", "Site"]

#: The project of the graph driver `reflink`.
EXAMPLE = Path(__file__).parents[2] / "examples" / "transom-reflink"


class Site:
    """A directory of packages."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def active(self) -> Iterator[None]:
        """Have the programs that are started within find the packages."""
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = str(self.path)
        try:
            yield
        finally:
            del os.environ["PYTHONPATH"]
            if before is not None:
                os.environ["PYTHONPATH"] = before

    def install(self, *projects: Path) -> None:
        """Install projects as anybody does, without what they depend on, which is there."""
        quick = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
        command = [sys.executable, "-m", "pip", "install", *quick, "--target", str(self.path), *map(str, projects)]
        subprocess.run(command, check=True, capture_output=True)

    def place(self, project: Path) -> None:
        """Put a project where an installation would have put it, in less than the seconds that one takes."""
        described = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        ((_, module),) = described["entry-points"]["transom"].items()
        shutil.copytree(project / module, self.path / module)
        self._register(described["name"], described["version"], described["entry-points"]["transom"])

    def write(self, name: str, content: str, entry_point: str = "") -> None:
        """Make the distribution `transom-NAME` of one module, with an entry point that names it or something else."""
        module = f"transom_{name.replace('-', '_')}"
        (self.path / f"{module}.py").write_text(content)
        self._register(f"transom-{name}", "0.1.0", {name: entry_point or module})

    def _register(self, name: str, version: str, points: Mapping[str, str]) -> None:
        information = self.path / f"{name.replace('-', '_')}-{version}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = "".join(f"{point} = {target}\n" for point, target in points.items())
        (information / "entry_points.txt").write_text(f"[transom]\n{lines}")
