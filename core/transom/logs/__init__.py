"""What log drivers are made of: options, attributes and tags, lines, files with rotation.

The modules that write are loaded into shims, so they import little.
"""
