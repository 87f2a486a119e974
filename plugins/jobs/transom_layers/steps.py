"""The steps in which an image was made, each with the instruction of the Dockerfile that it comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from transom.graph.layer_report import LayerSummary, Step
from transom.graph.model import History

__all__ = ["find_steps", "instruction"]

#: What builders write in front of and behind an instruction: Docker's own one, with the values of ARG, and BuildKit.
_NOTHING_RUN: Final = re.compile(r"^(?:\|\d+ .*?)?/bin/sh -c #\(nop\)\s+")
_RUN: Final = re.compile(r"^(?:RUN )?(?:\|\d+ .*?)?/bin/sh -c\s+")
_BUILDKIT: Final = re.compile(r"\s*# buildkit$")
_BLANKS: Final = re.compile(r"[ \t]*(?:\\\n)?\s+")


def instruction(created_by: str) -> str:
    """Return what the Dockerfile said, on one line, given what the history says of a step."""
    text = _BUILDKIT.sub("", created_by)
    text, nothing_run = _NOTHING_RUN.subn("", text)
    if not nothing_run:
        text = _RUN.sub("RUN ", text)
    return _BLANKS.sub(" ", text).strip()


def find_steps(history: Sequence[History], layers: Sequence[LayerSummary]) -> tuple[Step, ...]:
    """Return the steps of a history, each with the layer that it made, the first one first.

    Layers that the history does not tell of have a step of their own behind it.
    """
    left = list(layers)
    steps = [
        Step(step, instruction(step.created_by), left.pop(0) if left and not step.empty_layer else None)
        for step in history
    ]
    return (*steps, *(Step(History(), "", layer) for layer in left))
