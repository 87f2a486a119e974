"""The graph driver `reflink`."""

from transom import hookimpl

__all__ = ["transom_graphdrivers"]


@hookimpl
def transom_graphdrivers():
    from transom_reflink.driver import ReflinkDriver

    return [ReflinkDriver]
