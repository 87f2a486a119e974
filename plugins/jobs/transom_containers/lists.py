"""The jobs that tell which containers there are."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from transom.containers.health import HEALTHY, STARTING, UNHEALTHY
from transom.containers.model import Container, MountKind, Status
from transom.errors import InvalidParameter, NotFound
from transom.graph.digest import Digest
from transom.networks.ports import parse_exposed, parse_host_port, parse_port
from transom.patterns import name_pattern

if TYPE_CHECKING:
    from transom.engine import Engine
    from transom.job import Job

__all__ = ["container_list", "container_sizes", "inspect"]

_HEALTH = (STARTING, HEALTHY, UNHEALTHY)
Filters = Mapping[str, tuple[str, ...]]


def inspect(engine: Engine, _job: Job, *, container: str) -> Container:
    """Return one container."""
    return engine.containers.get(container)


def container_sizes(engine: Engine, _job: Job, *, container: str) -> tuple[int, int]:
    """Return the bytes that a container's own layer holds, and those of its whole file system."""
    found = engine.containers.get(container)
    own = engine.layers.usage(found.graphdriver, found.id).size
    if not found.image:
        return own, own
    try:
        return own, own + engine.images.get(found.image).size
    except NotFound:
        return own, own


def container_list(
    engine: Engine,
    _job: Job,
    *,
    all: bool = False,
    limit: int = 0,
    filters: Filters | None = None,
) -> tuple[Container, ...]:
    """Return the running containers, or with `all`, `limit` or a filter by status all, the newest first.

    Raises `InvalidParameter` for a filter that there is not.
    """
    filters = filters or {}
    containers = engine.containers.list()
    tests = [_test(engine, name, values) for name, values in filters.items()]
    if not (all or limit > 0 or "status" in filters or "exited" in filters):
        containers = [container for container in containers if container.state.running]
    found = [container for container in containers if builtins.all(test(container) for test in tests)]
    return tuple(found[:limit] if limit > 0 else found)


def _test(engine: Engine, name: str, values: tuple[str, ...]) -> Callable[[Container], bool]:
    """Return what a filter asks of a container; several values of one filter are alternatives, but labels add up."""
    match name:
        case "id":
            patterns = [name_pattern(name, value) for value in values]
            return lambda container: any(pattern.search(container.id) for pattern in patterns)
        case "name":
            patterns = [name_pattern(name, value) for value in values]
            linked = engine.containers.link_names()
            return lambda container: any(
                pattern.search(known) or pattern.search(f"/{known}")
                for pattern in patterns
                for known in (container.name, *linked.get(container.id, ()))
            )
        case "status":
            known = {status.value for status in Status}
            wrong = [value for value in values if value not in known]
            if wrong:
                raise InvalidParameter(f"invalid filter 'status={wrong[0]}'")
            return lambda container: container.state.status.value in values
        case "exited":
            codes = {_number(name, value) for value in values}
            ended = (Status.EXITED, Status.DEAD)
            return lambda container: container.state.status in ended and container.state.exit_code in codes
        case "label":
            return lambda container: builtins.all(_has_label(container, value) for value in values)
        case "ancestor":
            images = {image for value in values for image in _descends(engine, value)}
            return lambda container: container.image in images
        case "before" | "since":
            reference = engine.containers.get(values[0]).created
            if name == "before":
                return lambda container: container.created < reference
            return lambda container: container.created > reference
        case "volume":
            return lambda container: any(
                value in (mount.source if mount.kind is MountKind.VOLUME else "", mount.destination)
                for mount in container.mounts
                for value in values
            )
        case "network":
            networks = {_network_name(engine, value) for value in values}
            return lambda container: not networks.isdisjoint(container.networks)
        case "health":
            wrong = [value for value in values if value not in (*_HEALTH, "none")]
            if wrong:
                raise InvalidParameter(f"unrecognized filter value for health: {wrong[0]}")
            return lambda container: (container.state.health.status if container.state.health else "none") in values
        case "expose" | "publish":
            ports = {port for value in values for port in _filter_ports(name, value)}
            return lambda container: not ports.isdisjoint(_ports_of(container, published=name == "publish"))
        case "is-task":
            wanted = _boolean(name, values)
            return lambda _: not wanted
        case _:
            raise InvalidParameter(f"invalid filter '{name}'")


def _filter_ports(name: str, text: str) -> Iterator[tuple[int, str]]:
    """Give the ports, with their protocols, that a filter names: `80`, `80/udp`, `8000-8010/tcp`."""
    numbers, _, protocol = text.partition("/")
    first, last = parse_host_port(numbers)
    if not first:
        raise InvalidParameter(f"invalid filter '{name}={text}'")
    return (parse_port(f"{number}/{protocol or 'tcp'}") for number in range(first, last + 1))


def _ports_of(container: Container, *, published: bool) -> set[tuple[int, str]]:
    """Return a running container's ports: the machine's that are published, or its own that are spoken of."""
    if not container.endpoints:
        return set()
    if published:
        return {(port.host_port, port.protocol) for port in container.published}
    own = {(port.port, port.protocol) for port in container.published}
    return own | parse_exposed(container.config.run.exposed_ports)


def _network_name(engine: Engine, name: str) -> str:
    """Return the name of a network that is named by it or by ID; that of none as it is."""
    try:
        return engine.networks.get(name).name
    except NotFound:
        return name


def _descends(engine: Engine, name: str) -> set[Digest]:
    """Return the images whose layers begin with those of an image."""
    try:
        ancestor = engine.images.get(name)
    except NotFound:
        return set()
    depth = len(ancestor.diff_ids)
    return {image.id for image in engine.images.list() if image.diff_ids[:depth] == ancestor.diff_ids}


def _has_label(container: Container, wanted: str) -> bool:
    key, separator, value = wanted.partition("=")
    labels = container.config.run.labels
    return key in labels and (not separator or labels[key] == value)


def _number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise InvalidParameter(f"invalid filter '{name}={value}'") from None


def _boolean(name: str, values: tuple[str, ...]) -> bool:
    if values[0].lower() not in ("true", "false", "1", "0"):
        raise InvalidParameter(f"invalid filter '{name}={values[0]}'")
    return values[0].lower() in ("true", "1")
