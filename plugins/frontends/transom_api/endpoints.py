"""Networks and containers' places on them in requests, from JSON to the engine's types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transom.errors import InvalidParameter, Unsupported
from transom.networks.model import EndpointSettings, Network, Pool
from transom.networks.settings import parse_mac
from transom_api.unsupported import ENDPOINT_FIELDS, NETWORK_FIELDS, refuse_unsupported

if TYPE_CHECKING:
    from transom_api.fields import Fields

__all__ = ["parse_endpoint", "parse_endpoints", "parse_network"]

_DEFAULT = ("", "default")


def parse_endpoints(body: Fields) -> dict[str, EndpointSettings]:
    """Return what `POST /containers/create` asks for on networks, by the names that the client knows them by.

    A MAC address for the whole container, as older clients give it, is for the network of `NetworkMode`.
    Raises `InvalidParameter` and `Unsupported`.
    """
    networking = body.object("NetworkingConfig")
    given = networking.object("EndpointsConfig")
    endpoints = {name: parse_endpoint(given.object(name)) for name in networking.keys("EndpointsConfig")}
    mac = body.string("MacAddress")
    if mac:
        mode = body.object("HostConfig").string("NetworkMode")
        name = "default" if mode in _DEFAULT else mode
        settings = endpoints.get(name, EndpointSettings())
        if settings.mac not in ("", parse_mac(mac)):
            raise InvalidParameter("the container-wide MAC address must match the endpoint-specific MAC address")
        endpoints[name] = EndpointSettings(**{**vars(settings), "mac": parse_mac(mac)})
    return endpoints


def parse_endpoint(endpoint: Fields) -> EndpointSettings:
    """Return an object `EndpointSettings`. Raises `InvalidParameter` and `Unsupported`."""
    refuse_unsupported(endpoint, ENDPOINT_FIELDS)
    addresses = endpoint.object("IPAMConfig")
    if addresses.strings("LinkLocalIPs"):
        raise Unsupported(f"the option {addresses.path('LinkLocalIPs')} is not supported by this engine: leave it out")
    mac = endpoint.string("MacAddress")
    return EndpointSettings(
        aliases=endpoint.strings("Aliases"),
        address=addresses.string("IPv4Address"),
        address6=addresses.string("IPv6Address"),
        mac=parse_mac(mac) if mac else "",
        gateway_priority=endpoint.integer("GwPriority"),
    )


def parse_network(body: Fields) -> Network:
    """Return what `POST /networks/create` asks for. Raises `InvalidParameter` and `Unsupported`."""
    refuse_unsupported(body, NETWORK_FIELDS)
    ipam = body.object("IPAM")
    driver = ipam.string("Driver") or "default"
    if driver != "default":
        raise Unsupported(f"the IPAM driver {driver!r} is not supported: the only one is default")
    if ipam.mapping("Options"):
        raise Unsupported(f"the option {ipam.path('Options')} is not supported by this engine: leave it out")
    options = body.mapping("Options")
    return Network(
        id="",
        name=body.string("Name"),
        driver=body.string("Driver") or "bridge",
        pools=tuple(_parse_pool(item) for item in ipam.objects("Config")),
        options=options,
        labels=body.mapping("Labels"),
        internal=body.boolean("Internal"),
        attachable=body.boolean("Attachable"),
        ipv4=body.boolean("EnableIPv4", True),
        ipv6=body.boolean("EnableIPv6"),
    )


def _parse_pool(item: Fields) -> Pool:
    subnet = item.string("Subnet")
    if not subnet:
        raise InvalidParameter(f"missing {item.path('Subnet')}: a gateway or a range needs the subnet that it is of")
    return Pool(
        subnet,
        item.string("IPRange"),
        item.string("Gateway"),
        item.mapping("AuxiliaryAddresses"),
    )
