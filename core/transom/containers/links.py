"""Links on the default bridge (`--link`): names and variables by which one container knows another.

A link is a name for a container within the one that has it, its *parent*: `/web/db` is what the container `web` calls
`db`. It is known by the container's ID, so that it lasts when that is renamed or starts again with another address. On
networks that users made a link is a name for the resolver, and none of this (`transom.containers.networking`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from transom.containers.model import Container
from transom.errors import Conflict, InvalidParameter
from transom.networks.firewall import Allowed
from transom.networks.model import Endpoint
from transom.networks.ports import parse_exposed

if TYPE_CHECKING:
    from transom.engine import Engine

__all__ = ["BRIDGE", "Links", "link_variables", "parse_link"]

#: The only network where links are more than names of the resolver.
BRIDGE = "bridge"
#: Variables of an image's own that say nothing about the container to others.
_PRIVATE = ("HOME", "PATH")


def parse_link(text: str) -> tuple[str, str]:
    """Return the container and the alias of `NAME[:ALIAS]`, or of `/NAME:/PARENT/ALIAS`, as links are shown.

    Raises `InvalidParameter`.
    """
    if not text:
        raise InvalidParameter("empty string specified for links")
    name, _, alias = text.partition(":")
    if ":" in alias:
        raise InvalidParameter(f"bad format for links: {text}")
    if name.startswith("/"):
        return name[1:], alias.rpartition("/")[2]
    return name, alias or name


def link_variables(name: str, address: str, environment: Iterable[str], ports: Iterable[str]) -> tuple[str, ...]:
    """Return what a link named `/PARENT/ALIAS` puts into its parent's environment.

    `environment` and `ports` (`80/tcp`) are the linked container's, which is at `address`.
    """
    alias = name.rpartition("/")[2].upper().replace("-", "_")
    exposed = _in_order(ports)
    found = []
    if exposed:
        port, protocol = exposed[0]
        found.append(f"{alias}_PORT={protocol}://{address}:{port}")
    for first, last, protocol in _runs(exposed):
        prefix = f"{alias}_PORT_{first}_{protocol.upper()}"
        found += [
            f"{prefix}_START={protocol}://{address}:{first}",
            f"{prefix}_PORT_START={first}",
            f"{prefix}_END={protocol}://{address}:{last}",
            f"{prefix}_PORT_END={last}",
        ]
    for port, protocol in exposed:
        prefix = f"{alias}_PORT_{port}_{protocol.upper()}"
        found += [
            f"{prefix}={protocol}://{address}:{port}",
            f"{prefix}_ADDR={address}",
            f"{prefix}_PORT={port}",
            f"{prefix}_PROTO={protocol}",
        ]
    found.append(f"{alias}_NAME={name}")
    for item in environment:
        variable, equals, value = item.partition("=")
        if equals and variable not in _PRIVATE:
            found.append(f"{alias}_ENV_{variable}={value}")
    return tuple(found)


def _in_order(ports: Iterable[str]) -> list[tuple[int, str]]:
    """Return ports by protocol, TCP first, and number."""
    return sorted(parse_exposed(ports), key=lambda item: (item[1] != "tcp", item[1], item[0]))


def _runs(ports: Sequence[tuple[int, str]]) -> list[tuple[int, int, str]]:
    """Return the runs of more than one port, without a gap, of one protocol: first, last, protocol."""
    starts = [index for index, (one, two) in enumerate(pairwise(ports), 1) if two != (one[0] + 1, one[1])]
    bounds = [0, *starts, len(ports)]
    return [(ports[one][0], ports[two - 1][0], ports[one][1]) for one, two in pairwise(bounds) if two - one > 1]


class Links:
    """The links of one engine's containers. Safe to use from many threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        #: What the firewall lets through, by parent and linked container.
        self._allowed: dict[tuple[str, str], tuple[Allowed, ...]] = {}

    def check(self, container: Container) -> None:
        """Raise `Conflict` if a link of a container that is on the default bridge leads nowhere now."""
        if self._place(container.id) is None:
            return
        linked = self._engine.containers.linked(container)
        for alias, link in container.links.items():
            target = linked.get(alias)
            name = link.name if target is None else target.name
            if target is None or not target.state.running:
                raise Conflict(f"Cannot link to a non running container: /{name} AS /{container.name}/{alias}")
            if self._place(target.id) is None:
                raise Conflict(f"Cannot link to /{name}, as it does not belong to the default network")

    def variables(self, container: Container) -> tuple[str, ...]:
        """Return what a container's links put into its environment."""
        if self._place(container.id) is None:
            return ()
        found: list[str] = []
        for alias, target in self._engine.containers.linked(container).items():
            place, run = self._place(target.id), target.config.run
            if place is not None:
                name = f"/{container.name}/{alias}"
                found += link_variables(name, place.bare_address, run.env, run.exposed_ports)
        return tuple(found)

    def hosts(self, container: Container) -> list[tuple[str, str]]:
        """Return the lines that a container's links add to its hosts(5) file: (names, address)."""
        if self._place(container.id) is None:
            return []
        lines = []
        for alias, target in self._engine.containers.linked(container).items():
            place = self._place(target.id)
            if place is not None:
                names = " ".join(dict.fromkeys((alias, target.config.hostname, target.name)))
                lines += [(names, address) for address in (place.bare_address, place.bare_address6) if address]
        return lines

    def allow(self, container: Container) -> list[Container]:
        """Let a container that came to the default bridge, or has changed its links, reach those that it links to, and
        those that link to it reach it, where containers there are kept apart; return the latter.
        """
        parents = self._engine.containers.linking(container)
        for parent, target in [
            *((container, target) for target in self._engine.containers.linked(container).values()),
            *((parent, container) for parent in parents),
        ]:
            allowed = self._between(parent, target)
            with self._lock:
                before = self._allowed.pop((parent.id, target.id), ())
                self._engine.firewall.deny(set(before) - set(allowed))
                self._engine.firewall.allow(allowed)
                if allowed:
                    self._allowed[parent.id, target.id] = allowed
        return [parent for parent in parents if self._place(parent.id) is not None]

    def forget(self, container: str) -> None:
        """Undo `allow`: a container leaves the default bridge, or its links are about to change."""
        with self._lock:
            for pair in [pair for pair in self._allowed if container in pair]:
                self._engine.firewall.deny(self._allowed.pop(pair))

    def _between(self, parent: Container, target: Container) -> tuple[Allowed, ...]:
        one, two = self._place(parent.id), self._place(target.id)
        if one is None or two is None or not one.address or not two.address:
            return ()
        ports = _in_order(target.config.run.exposed_ports)
        return tuple(Allowed(one.bare_address, two.bare_address, protocol, port) for port, protocol in ports)

    def _place(self, container: str) -> Endpoint | None:
        """Return a container's endpoint on the default bridge, also of one that is being started."""
        return self._engine.connections.of(container).get(BRIDGE)
