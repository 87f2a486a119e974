"""An image of Debian as people build on, made by debootstrap and kept from one run to the next."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from testbed.mirror import CACHE, Mirror, codename

__all__ = ["debian_layout"]

_SOURCES = """\
deb http://debian/debian {codename} main
deb-src http://debian/debian {codename} main
"""


def debian_layout(mirror: Mirror) -> str:
    """Return where skopeo finds the image: `oci:DIRECTORY:debian`."""
    layout = CACHE / f"debian-{codename()}"
    if not layout.exists():
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            made = _make(Path(directory), mirror)
            try:
                made.rename(layout)
            except OSError:
                # Another run was faster.
                if not layout.exists():
                    raise
    return f"oci:{layout}:debian"


def _make(directory: Path, mirror: Mirror) -> Path:
    layout, bundle = directory / "layout", directory / "bundle"
    root = bundle / "rootfs"
    _umoci("init", "--layout", str(layout))
    _umoci("new", "--image", f"{layout}:debian")
    _umoci("unpack", "--image", f"{layout}:debian", str(bundle))
    environment = {**os.environ, "http_proxy": mirror.url}
    command = ["debootstrap", "--variant=minbase", codename(), str(root), "http://debian/debian"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"debootstrap failed: {done.stdout[-2000:]}{done.stderr}")
    for waste in (*root.glob("var/cache/apt/archives/*.deb"), *root.glob("var/lib/apt/lists/*_*")):
        waste.unlink()
    (root / "etc/apt/sources.list").write_text(_SOURCES.format(codename=codename()))
    _umoci("repack", "--image", f"{layout}:debian", str(bundle))
    _umoci("config", "--image", f"{layout}:debian", "--config.cmd=bash")
    return layout


def _umoci(*arguments: str) -> None:
    done = subprocess.run(["umoci", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"umoci {' '.join(arguments)} failed: {done.stderr}")
