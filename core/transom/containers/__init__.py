"""Containers: what one is, the states that it goes through, and how it is started, watched and removed."""
