"""What the instructions of one stage are done with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transom_builder.contexts import Context, Contexts
from transom_builder.options import BuildOptions
from transom_builder.workshop import Stack, Workshop

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["Workplace"]


@dataclass(frozen=True)
class Workplace:
    """What a stage has at hand. `named` gives what an instruction names by `--from` or `from=`."""

    engine: Engine
    options: BuildOptions
    workshop: Workshop
    contexts: Contexts
    named: Callable[[str], Stack | Context]

    def source(self, name: str) -> Stack | Context:
        """Return what files are taken from: what has a name, or the build's own context for an empty one."""
        return self.named(name) if name else self.contexts.main()
