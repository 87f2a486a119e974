"""A union of directory trees, which knows nothing of FUSE: layers below, and one above that takes all changes.

What is on disk is overlayfs's own format (kernel documentation, filesystems/overlayfs), so an upper layer that was
written here can be mounted by the kernel, and the other way round. Names are looked up through descriptors of
directories, one part at a time and never through a symbolic link, so nothing leads out of a layer.
"""

from __future__ import annotations

from transom_fuse.union.handles import Handle
from transom_fuse.union.nodes import Directory, Node
from transom_fuse.union.tree import Tree
from transom_fuse.union.union import Owner, Union

__all__ = ["Directory", "Handle", "Node", "Owner", "Tree", "Union"]
