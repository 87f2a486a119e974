"""A union of layers in Python, without the kernel's overlayfs."""
