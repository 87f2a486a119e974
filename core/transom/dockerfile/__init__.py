"""The language of Dockerfiles: its lines, its words and variables, and what instructions do to a configuration.

It follows BuildKit's Dockerfile reference. What is here needs no build: the instructions that `--change` takes.
"""
