"""Steps that run ahead: each begins as soon as the one before has run, while the layer of that is packed behind it.

    run 1 ─▶ run 2 ─▶ run 3 ─▶ seal 1, 2, 3
        └─▶ pack 1 ─▶ pack 2 ─▶ pack 3 ─┘

That is for steps of which nothing is looked up, since what is kept of a step is known by the layers below it. Until
they are sealed, layers stand on each other as the writable ones that they were written to.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

from transom.graph.making import NewLayer
from transom_builder.workshop import Stack, Workshop

__all__ = ["Ahead"]

_Made = TypeVar("_Made")


class Ahead(Generic[_Made]):
    """The steps of one stage, which begins as `made` on top of the layers `below`.

    What becomes of it is worked out behind the steps, by the threads of `packers`.
    """

    def __init__(self, made: _Made, below: Stack, workshop: Workshop, packers: Executor) -> None:
        self._below = below
        self._workshop = workshop
        self._packers = packers
        self._stack = below
        self._layers: list[tuple[str, NewLayer]] = []
        self._last: Future[_Made] = Future()
        self._last.set_result(made)

    @property
    def stack(self) -> Stack:
        """What the next step is done on top of. Raises what went wrong behind it."""
        if self._last.done():
            self._last.result()
        return self._stack

    @property
    def packed(self) -> bool:
        """Whether nothing is left to be done behind the steps."""
        return self._last.done()

    def add(self, layer: str | None, finish: Callable[[_Made, NewLayer], _Made]) -> None:
        """Take the writable layer of a step, if it has one, and pack it when those before are packed.

        `finish` says what the stage has become, from what it was before and from the layer.
        """
        self._stack = self._stack.under(layer)
        self._last = self._packers.submit(self._pack, self._last, layer, finish)

    def seal(self) -> _Made:
        """Wait until all is packed, let the layers be those of an image, and return what the stage has become."""
        made = self._last.result()
        self._workshop.seal(self._layers, self._below)
        return made

    def close(self) -> None:
        """Remove what was not sealed."""
        for layer in reversed(self._stack.raw):
            self._workshop.discard(layer)

    def _pack(self, before: Future[_Made], layer: str | None, finish: Callable[[_Made, NewLayer], _Made]) -> _Made:
        made = before.result()
        if layer is None:
            return finish(made, NewLayer.nothing())
        new = self._workshop.pack(layer)
        self._layers.append((layer, new))
        return finish(made, new)
