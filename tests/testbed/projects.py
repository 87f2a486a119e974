"""Programs of the size that people build: a web service in Python, a tool in C, and a page that a bundler makes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from testbed.debian import debian_layout
from testbed.mirror import Mirror
from testbed.registry import Registry

__all__ = ["DIRECTORY", "PAGE", "PROJECTS", "SERVICE", "TOOL", "WASTEFUL", "Workbench"]

DIRECTORY = Path(__file__).parents[1] / "system/real_builds/projects"

SERVICE, TOOL, PAGE = "service", "tool", "page"
#: A service as people build it who do not look at their images.
WASTEFUL = "wasteful"
#: Where the packages of a page are is known to npm alone.
PROJECTS = (SERVICE, TOOL, PAGE) if shutil.which("npm") else (SERVICE, TOOL)


@dataclass
class Workbench:
    """What projects are built with: where packages come from, and the images that they begin with."""

    mirror: Mirror
    debian: str
    busybox: str

    @classmethod
    def of(cls, mirror: Mirror, registry: Registry) -> Workbench:
        """Bring Debian to a registry that has busybox."""
        return cls(mirror, registry.push(debian_layout(mirror), "debian:latest"), registry.busybox)

    def command(self, project: str, *options: str, place: Path | None = None) -> list[str]:
        """Return the arguments of `transom` or `docker` by which a project is built and named as itself.

        Its files are in `place`, or where they are kept.
        """
        arguments = {"http_proxy": self.mirror.url, "DEBIAN": self.debian}
        if project in (SERVICE, WASTEFUL):
            arguments |= {"PIP_INDEX_URL": "http://pypi/simple", "PIP_TRUSTED_HOST": "pypi"}
        if project == PAGE:
            arguments |= {"BUSYBOX": self.busybox, "npm_config_registry": "http://npm"}
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        return ["build", "--tag", project, *given, *options, str(place or DIRECTORY / project)]
