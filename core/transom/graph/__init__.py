"""The graph: content by digest, images, layers, and the database of how they hang together."""
