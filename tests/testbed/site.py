"""Outside packages, as an installation puts them into a directory of packages."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

__all__ = ["EXAMPLE", "place"]

#: The project of the graph driver `reflink`.
EXAMPLE = Path(__file__).parents[2] / "examples" / "transom-reflink"


def place(site: Path, project: Path) -> None:
    """Put a project where an installation would have put it, in less than the seconds that one takes."""
    described = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    ((name, module),) = described["entry-points"]["transom"].items()
    shutil.copytree(project / module, site / module)
    information = site / f"{described['name'].replace('-', '_')}-{described['version']}.dist-info"
    information.mkdir()
    header = f"Metadata-Version: 2.1\nName: {described['name']}\nVersion: {described['version']}\n"
    (information / "METADATA").write_text(header)
    (information / "entry_points.txt").write_text(f"[transom]\n{name} = {module}\n")
