"""Networks, and containers' places on them, as Docker's API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transom.networks.model import Endpoint, EndpointSettings
from transom.networks.ports import parse_exposed
from transom_api.times import format_time

if TYPE_CHECKING:
    from transom.containers.model import Container, HostConfig
    from transom.networks.model import Network, Pool
    from transom.system import NetworkInfo

__all__ = ["network_details", "network_options", "network_settings", "networks_of", "port_list"]

Json = dict[str, Any]

#: Docker's names for drivers.
_DRIVERS = {"none": "null"}
_NOWHERE = Endpoint("", "", "")
_DEFAULT_BRIDGE = "bridge"


def network_details(info: NetworkInfo, *, with_containers: bool) -> Json:
    """Return all about a network; lists leave its containers out."""
    network = info.network
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": format_time(network.created),
        "Scope": "local",
        "Driver": _DRIVERS.get(network.driver, network.driver),
        "EnableIPv4": network.ipv4,
        "EnableIPv6": network.ipv6,
        "IPAM": {
            "Driver": network.ipam_driver,
            "Options": None if network.builtin else network.ipam_options,
            "Config": [_pool(pool) for pool in network.pools] or (None if network.builtin else []),
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": network.config_from},
        "ConfigOnly": network.config_only,
        "Containers": {
            container.id: {
                "Name": container.name,
                "EndpointID": endpoint.id,
                "MacAddress": endpoint.mac,
                "IPv4Address": endpoint.address,
                "IPv6Address": endpoint.address6,
            }
            for container, endpoint in info.containers
            if with_containers
        },
        "Options": _options(network),
        "Labels": network.labels,
    }


def _options(network: Network) -> Json:
    return dict(network.options)


def _pool(pool: Pool) -> Json:
    shape: Json = {"Subnet": pool.subnet}
    if pool.ip_range:
        shape["IPRange"] = pool.ip_range
    if pool.gateway:
        shape["Gateway"] = pool.gateway
    if pool.reserved:
        shape["AuxiliaryAddresses"] = pool.reserved
    return shape


def networks_of(container: Container) -> Json:
    """Return a container's places on its networks, by name; addresses are empty while it does not run."""
    return {
        name: _endpoint(settings, container.endpoints.get(name, _NOWHERE))
        for name, settings in sorted(container.networks.items())
    }


def network_settings(container: Container) -> Json:
    """Return a container's `NetworkSettings`; what it has on the default bridge is at the top too."""
    bridge = container.endpoints.get(_DEFAULT_BRIDGE, _NOWHERE)
    address, length = _split(bridge.address)
    address6, length6 = _split(bridge.address6)
    private = bool(container.endpoints)
    return {
        "Bridge": "",
        "SandboxID": container.id if private else "",
        "SandboxKey": container.sandbox,
        "Ports": _ports(container),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": bridge.id,
        "Gateway": bridge.gateway,
        "GlobalIPv6Address": address6,
        "GlobalIPv6PrefixLen": length6,
        "IPAddress": address,
        "IPPrefixLen": length,
        "IPv6Gateway": bridge.gateway6,
        "MacAddress": bridge.mac,
        "Networks": networks_of(container),
    }


def network_options(host: HostConfig) -> Json:
    """Return what of `HostConfig` is about networks."""
    bindings: Json = {}
    for binding in host.ports:
        ports = str(binding.first or "") if binding.first == binding.last else f"{binding.first}-{binding.last}"
        place = {"HostIp": binding.address, "HostPort": ports}
        bindings.setdefault(f"{binding.port}/{binding.protocol}", []).append(place)
    return {
        "PortBindings": bindings,
        "PublishAllPorts": host.publish_all,
        "Dns": host.dns,
        "DnsOptions": host.dns_options,
        "DnsSearch": host.dns_search,
        "ExtraHosts": host.extra_hosts or None,
    }


def _exposed(container: Container) -> list[tuple[int, str]]:
    """Return the ports of a running container that are spoken of, published or not."""
    bound = {(binding.port, binding.protocol) for binding in container.host.ports}
    return sorted(bound | parse_exposed(container.config.run.exposed_ports))


def _ports(container: Container) -> Json:
    """Return where a container's ports are published, null for one that is not; nothing while it does not run."""
    if not container.endpoints:
        return {}
    shape: Json = {f"{port}/{protocol}": None for port, protocol in _exposed(container)}
    for item in container.published:
        key = f"{item.port}/{item.protocol}"
        shape[key] = [*(shape.get(key) or []), {"HostIp": item.address, "HostPort": str(item.host_port)}]
    return shape


def port_list(container: Container) -> list[Json]:
    """Return a container's ports for a list of containers."""
    if not container.endpoints:
        return []
    published = [
        {"IP": item.address, "PrivatePort": item.port, "PublicPort": item.host_port, "Type": item.protocol}
        for item in container.published
    ]
    shown = {(item.port, item.protocol) for item in container.published}
    hidden = [item for item in _exposed(container) if item not in shown]
    return [*published, *({"PrivatePort": port, "Type": protocol} for port, protocol in hidden)]


def _endpoint(settings: EndpointSettings, endpoint: Endpoint) -> Json:
    address, length = _split(endpoint.address)
    address6, length6 = _split(endpoint.address6)
    asked: Json = {}
    if settings.address:
        asked["IPv4Address"] = settings.address
    if settings.address6:
        asked["IPv6Address"] = settings.address6
    if settings.link_local:
        asked["LinkLocalIPs"] = settings.link_local
    return {
        "IPAMConfig": asked or None,
        "Links": settings.links or None,
        "Aliases": settings.aliases or None,
        "MacAddress": endpoint.mac or settings.mac,
        "DriverOpts": settings.driver_options or None,
        "GwPriority": settings.gateway_priority,
        "NetworkID": endpoint.network or settings.network,
        "EndpointID": endpoint.id,
        "Gateway": endpoint.gateway,
        "IPAddress": address,
        "IPPrefixLen": length,
        "IPv6Gateway": endpoint.gateway6,
        "GlobalIPv6Address": address6,
        "GlobalIPv6PrefixLen": length6,
        "DNSNames": endpoint.names or None,
    }


def _split(address: str) -> tuple[str, int]:
    bare, _, length = address.partition("/")
    return bare, int(length or 0)
