"""The language of Dockerfiles, as BuildKit has it. Nothing here reads a file or does anything to an image.

    text ── parse ──▶ Dockerfile ── plan ──▶ Plan of stages ── begin, advance ──▶ what is to be done, step by step

`parse` reads lines (lines, heredocs, flags) and what they mean (grammar, instructions, mounts, ports); `stages` finds
what a target needs, with the `arguments` that it gets; `evaluation` expands variables (words), keeps the configuration
of the image and its history. `ignore` and `globs` say which files are meant, `checks` what is better written in another
way, and `changes` are the instructions that `commit --change` takes.
"""
