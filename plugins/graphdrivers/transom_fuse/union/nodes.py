"""What is in a union: nodes. There is one for each file that was looked up, as a kernel has inodes."""

from __future__ import annotations

import stat

__all__ = ["LISTED", "UPPER", "Directory", "Listed", "Node"]

#: The number of the layer that takes changes; those below it are 1, 2 … from the topmost down.
UPPER = 0

#: A name as layers list it: its type (stat.S_IFMT), its inode number, and the layers that have it. For what is no
#: directory that is one, for a directory all that are merged.
Listed = tuple[int, int, tuple[int, ...]]
#: What a directory lists that has nothing.
LISTED: dict[bytes, Listed] = {}


class Node:
    """A file of any type but a directory.

    `layer` is where it is, and `real` its inode number there if that is the upper layer, while `ino` stays what it
    was when it is copied up. `names` are where it was looked up and is still: one for most, none when it was removed
    while in use; `held` is then its descriptor (O_PATH). `uses` counts handles, and whoever else called `Union.hold`.
    """

    __slots__ = ("held", "ino", "kind", "layer", "names", "real", "uses")

    def __init__(self, kind: int, ino: int, layer: int) -> None:
        self.kind = kind
        self.ino = ino
        self.layer = layer
        self.names: list[tuple[Directory, bytes]] = []
        self.real = ino if layer == UPPER else 0
        self.held = -1
        self.uses = 0


class Directory(Node):
    """A directory, made of those of the same path in `layers`, topmost first, whose attributes it has.

    What it lists is read when it is needed, and then kept up to date: `upper` is what the upper layer has there,
    `hidden` are the names of its whiteouts, and `lower` is what the layers below it show. `upper` is None until the
    directory is read.

    A directory with lower parts, and all that it is in, has the path that it has in its layers: what is renamed
    belongs to the upper layer alone from then on. So what is in a directory without lower parts has none either.
    """

    __slots__ = ("children", "hidden", "layers", "lower", "upper")

    def __init__(self, ino: int, layers: tuple[int, ...]) -> None:
        super().__init__(stat.S_IFDIR, ino, layers[0])
        self.layers = layers
        self.children: dict[bytes, Node] = {}
        self.forget()

    def forget(self) -> None:
        """Be as if the directory had not been read."""
        self.upper: dict[bytes, Listed] | None = None
        self.hidden: set[bytes] = set()
        self.lower: dict[bytes, Listed] = LISTED

    @property
    def lower_layers(self) -> tuple[int, ...]:
        """Its layers without the upper one."""
        return self.layers[1:] if self.layers[0] == UPPER else self.layers
