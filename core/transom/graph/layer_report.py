"""What is known of an image's layers when all of them have been read: the result of the job `image_layers`.

Layers are numbered from 1, the lowest first. Sizes are bytes of the contents of files, unpacked, holes included, and of
the targets of symbolic links; a file with several names counts once.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from transom.graph.digest import Digest
from transom.graph.model import History

__all__ = [
    "Advice",
    "HiddenVersion",
    "LayerReport",
    "LayerSummary",
    "NodeKind",
    "Offender",
    "Share",
    "Step",
    "TreeNode",
]


@dataclass(frozen=True, slots=True)
class Share:
    """What one layer has to do with a path, and with all below it.

    Files are what is no directory. `size` is the bytes that the layer stores there, `wasted` those of them that no
    container sees.
    """

    layer: int
    added: int = 0
    changed: int = 0
    deleted: int = 0
    size: int = 0
    wasted: int = 0


class NodeKind(enum.Enum):
    """What a path of the tree is, or was last. `REST` stands for several paths that are not listed one by one."""

    DIRECTORY = "directory"
    FILE = "file"
    SYMLINK = "symlink"
    OTHER = "other"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A path of the tree of all files that any layer has: its last part, and the index of its directory in the list.

    The first is the root, whose `parent` is -1. `count` is the number of paths that a `REST` stands for; a directory is
    `closed` if what is in it is not listed.
    """

    name: bytes
    parent: int
    kind: NodeKind
    shares: tuple[Share, ...]
    count: int = 0
    closed: bool = False


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One layer: its blob's digest and size, what it stores, and how many files it adds, changes and deletes.

    `wasted` is the bytes that it stores and no container sees, `hides` the bytes of the layers below that it deletes or
    replaces. `whiteouts` and `opaque` count the marks by which it deletes.
    """

    number: int
    diff_id: Digest
    blob: Digest
    compressed: int
    share: Share
    hides: int
    whiteouts: int
    opaque: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the image's history. `layer` is None where it made none.

    `instruction` is what the Dockerfile said, as far as the history tells.
    """

    history: History
    instruction: str
    layer: LayerSummary | None


@dataclass(frozen=True, slots=True)
class HiddenVersion:
    """What one layer stores in vain: the layer, the bytes, and the number of the layer that hides it.

    `deleted` says whether that one deleted it; otherwise it has something else there.
    """

    layer: int
    size: int
    hidden_by: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class Offender:
    """A path that wastes bytes: a file, or a directory that was deleted as a whole, which ends with a slash."""

    path: bytes
    versions: tuple[HiddenVersion, ...]

    @property
    def size(self) -> int:
        """The bytes that it wastes."""
        return sum(version.size for version in self.versions)


@dataclass(frozen=True, slots=True)
class Advice:
    """What to change in the Dockerfile, at the layer of a number, and how many bytes it is about.

    `kind` is a word for programs, `text` one or two sentences, `paths` examples.
    """

    kind: str
    layer: int
    size: int
    text: str
    paths: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class LayerReport:
    """All about the layers of an image. `tree` is empty unless it was asked for; `offenders` are the worst ones."""

    image: Digest
    steps: tuple[Step, ...]
    visible: int
    offenders: tuple[Offender, ...]
    offender_count: int
    advice: tuple[Advice, ...]
    tree: tuple[TreeNode, ...]

    @property
    def layers(self) -> tuple[LayerSummary, ...]:
        """Its layers, the lowest first."""
        return tuple(step.layer for step in self.steps if step.layer is not None)

    @property
    def size(self) -> int:
        """The bytes of all layers: what containers see, and what is wasted."""
        return sum(layer.share.size for layer in self.layers)

    @property
    def wasted(self) -> int:
        """The bytes that no container sees."""
        return self.size - self.visible

    @property
    def efficiency(self) -> float:
        """The percentage of the bytes of all layers that containers see; 100 for an image without any."""
        return 100 * self.visible / self.size if self.size else 100.0
