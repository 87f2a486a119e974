"""Images as volumes: `volume create -d image -o image=NAME data`.

The volume is the image that had the name when it was made, also when the name or the image goes: its layers stay in the
graph for as long as the volume does. It is bound read-only at `<root>/<name>/_data` (`transom.volume_directories`), as
a graph driver's own mount may be writable.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from transom.drivers.volume import Volume, VolumeDriver
from transom.errors import InvalidParameter, NotFound
from transom.runtime.syscalls.mounts import MS_BIND, MS_RDONLY, MS_REMOUNT, mount, umount2
from transom.volume_directories import VolumeDirectories

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["ImageDriver", "image_driver"]


class ImageDriver(VolumeDriver):
    """The volume driver `image`, of an engine that has the images."""

    name: ClassVar[str] = "image"
    limits: ClassVar[tuple[str, ...]] = ("Volumes cannot be written to.",)
    copies_image_content: ClassVar[bool] = False
    read_only: ClassVar[bool] = True
    engine: ClassVar[Engine]

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._volumes = VolumeDirectories(root)

    def create(self, name: str, options: Mapping[str, str]) -> None:
        for key in options:
            if key not in ("image", "graphdriver"):
                raise InvalidParameter(f"the volume driver image has no option {key!r}: there are image, graphdriver")
        if not options.get("image"):
            raise InvalidParameter("the volume driver image needs the option image: -o image=NAME")
        image = self.engine.images.get(options["image"])
        graphdriver = self.engine.graphdriver(options.get("graphdriver", ""))
        layer = self.engine.layers.ensure(image, graphdriver)
        if layer is None:
            raise InvalidParameter(f"the image {options['image']} has no files")
        self.engine.layers.keep(graphdriver, layer, self.engine.db.need("volume", name))
        self._volumes.make(name, {"image": image.id, "graphdriver": graphdriver, "layer": layer})

    def remove(self, name: str) -> None:
        self._volumes.remove(name)

    def mount(self, name: str, container: str) -> Path:
        made = self._made(name)
        tree = self.engine.layers.mount(made["graphdriver"], made["layer"], _user(name, container))
        try:
            return self._volumes.mount(name, container, lambda target: _bind(tree, target))
        except BaseException:
            self.engine.layers.unmount(made["graphdriver"], made["layer"], _user(name, container))
            raise

    def unmount(self, name: str, container: str) -> None:
        try:
            made = self._made(name)
        except NotFound:
            return
        self._volumes.unmount(name, container)
        self.engine.layers.unmount(made["graphdriver"], made["layer"], _user(name, container))

    def get(self, name: str) -> Volume:
        made = self._made(name)
        return Volume(name, self._volumes.data(name), {"Image": made["image"], "GraphDriver": made["graphdriver"]})

    def list(self) -> list[Volume]:
        return [self.get(name) for name in self._volumes.names()]

    def _made(self, name: str) -> dict[str, str]:
        """Return what a volume was made of. Raises `NotFound`."""
        self._volumes.data(name)
        return self._volumes.options(name) or {}


def image_driver(engine: Engine) -> type[ImageDriver]:
    """Return the driver of an engine's images."""
    body = {"engine": engine, "__module__": __name__, "__doc__": ImageDriver.__doc__}
    return type("ImageDriver", (ImageDriver,), body)


def _user(name: str, container: str) -> str:
    return f"volume {name} {container}"


def _bind(tree: Path, target: Path) -> None:
    mount(tree, target, None, MS_BIND)
    try:
        # The first call makes the bind and looks at no other flag (mount(2)).
        mount("", target, None, MS_BIND | MS_REMOUNT | MS_RDONLY)
    except OSError:
        umount2(target)
        raise
