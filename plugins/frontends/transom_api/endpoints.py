"""Networks and containers' places on them in requests, from JSON to the engine's types."""

from __future__ import annotations

from transom.errors import InvalidParameter, Unsupported
from transom.networks.model import EndpointSettings, Network, Pool
from transom.networks.ports import PortBinding, check_address, parse_host_port, parse_port
from transom.networks.settings import parse_mac
from transom_api.fields import Fields
from transom_api.unsupported import NETWORK_FIELDS, refuse_unsupported

__all__ = ["parse_bindings", "parse_endpoint", "parse_endpoints", "parse_extra_hosts", "parse_network"]

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
    """Return an object `EndpointSettings`. Raises `InvalidParameter`."""
    addresses = endpoint.object("IPAMConfig")
    mac = endpoint.string("MacAddress")
    return EndpointSettings(
        aliases=endpoint.strings("Aliases"),
        address=addresses.string("IPv4Address"),
        address6=addresses.string("IPv6Address"),
        mac=parse_mac(mac) if mac else "",
        link_local=addresses.strings("LinkLocalIPs"),
        links=endpoint.strings("Links"),
        driver_options=endpoint.mapping("DriverOpts"),
        gateway_priority=endpoint.integer("GwPriority"),
    )


def parse_bindings(host: Fields) -> tuple[PortBinding, ...]:
    """Return the ports that `PortBindings` publishes. Raises `InvalidParameter`."""
    given = host.object("PortBindings")
    found = []
    for name in host.keys("PortBindings"):
        port, protocol = parse_port(name)
        # Nothing said about the machine's side is any of its ports.
        for item in given.objects(name) or [Fields({})]:
            address = item.string("HostIp")
            if address:
                check_address(address)
            first, last = parse_host_port(item.string("HostPort"))
            found.append(PortBinding(port, protocol, "" if address == "0.0.0.0" else address, first, last))
    return tuple(found)


def parse_extra_hosts(host: Fields) -> tuple[str, ...]:
    """Return the lines that `ExtraHosts` adds to /etc/hosts, as `name:address`. Raises `InvalidParameter`."""
    entries = []
    for entry in host.strings("ExtraHosts"):
        name, _, address = entry.partition("=" if "=" in entry else ":")
        if not name or not address:
            raise InvalidParameter(f"bad format for add-host: {entry!r}")
        address = address.removeprefix("[").removesuffix("]")
        if address != "host-gateway":
            check_address(address)
        entries.append(f"{name}:{address}")
    return tuple(entries)


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
        config_only=body.boolean("ConfigOnly"),
        config_from=body.object("ConfigFrom").string("Network"),
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
