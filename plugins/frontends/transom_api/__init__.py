"""The Docker Engine API, versions 1.24 to 1.50, over unix sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom import hookimpl

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["transom_serve"]


@hookimpl
def transom_serve(engine: Engine) -> None:
    from transom_api.server import serve

    serve(engine)
