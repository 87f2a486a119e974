"""Networks in the API: what requests ask for, and what answers look like."""

from __future__ import annotations

import pytest

from transom.containers.model import Container, ContainerConfig, HostConfig, State, Status
from transom.errors import InvalidParameter, Unsupported
from transom.graph.digest import Digest
from transom.networks.model import Endpoint, EndpointSettings, Network, Pool
from transom.system import NetworkInfo, Pruned
from transom_api.endpoints import parse_endpoint, parse_endpoints, parse_network
from transom_api.fields import Fields

ID = "c" * 64
APP = Network("a" * 64, "app", "bridge", 1_700_000_000_000_000_000, (Pool("10.9.0.0/24", "", "10.9.0.1"),), ready=True)
PLACE = Endpoint(
    "e" * 64,
    APP.id,
    "app",
    "eth0",
    address="10.9.0.2/24",
    address6="fd00::2/64",
    gateway="10.9.0.1",
    gateway6="fd00::1",
    mac="02:42:0a:09:00:02",
    names=("web", "cccccccccccc"),
)


def container(**fields):
    return Container(
        id=ID,
        name="web",
        created=1,
        image=Digest(f"sha256:{'1' * 64}"),
        config=ContainerConfig("busybox"),
        host=HostConfig(),
        graphdriver="vfs",
        execdriver="namespaces",
        log_driver="json-file",
        state=State(Status.RUNNING),
        **fields,
    )


def test_endpoints_are_read_by_network():
    asked = parse_endpoints(
        Fields(
            {
                "NetworkingConfig": {
                    "EndpointsConfig": {
                        "app": {
                            "Aliases": ["db"],
                            "IPAMConfig": {"IPv4Address": "10.9.0.9", "IPv6Address": "fd00::9"},
                            "MacAddress": "92-D0-C6-0A-29-33",
                            "GwPriority": 3,
                        },
                        "other": None,
                    }
                }
            }
        )
    )
    assert asked == {
        "app": EndpointSettings("", ("db",), "10.9.0.9", "fd00::9", "92:d0:c6:0a:29:33", gateway_priority=3),
        "other": EndpointSettings(),
    }


def test_a_mac_address_of_the_whole_container_is_for_its_first_network():
    body = {"MacAddress": "92:d0:c6:0a:29:33", "HostConfig": {"NetworkMode": "app"}}
    assert parse_endpoints(Fields(body)) == {"app": EndpointSettings(mac="92:d0:c6:0a:29:33")}
    body["NetworkingConfig"] = {"EndpointsConfig": {"app": {"MacAddress": "92:d0:c6:0a:29:34"}}}
    with pytest.raises(InvalidParameter, match="must match"):
        parse_endpoints(Fields(body))


def test_more_addresses_and_options_of_an_endpoint_are_read():
    body = {"DriverOpts": {"a": "b"}, "IPAMConfig": {"LinkLocalIPs": ["169.254.1.1"]}}
    assert parse_endpoint(Fields(body)) == EndpointSettings(link_local=("169.254.1.1",), driver_options={"a": "b"})


def test_a_configuration_is_read_from_a_request():
    assert parse_network(Fields({"Name": "app", "ConfigOnly": True})).config_only
    assert parse_network(Fields({"Name": "app", "ConfigFrom": {"Network": "base"}})).config_from == "base"


def test_a_network_is_read_from_a_request():
    asked = parse_network(
        Fields(
            {
                "Name": "app",
                "EnableIPv6": True,
                "Internal": True,
                "IPAM": {
                    "Config": [
                        {
                            "Subnet": "10.9.0.0/24",
                            "IPRange": "10.9.0.128/25",
                            "Gateway": "10.9.0.1",
                            "AuxiliaryAddresses": {"router": "10.9.0.3"},
                        }
                    ]
                },
                "Options": {"com.docker.network.bridge.enable_icc": "false"},
                "Labels": {"a": "b"},
            }
        )
    )
    assert asked == Network(
        "",
        "app",
        "bridge",
        pools=(Pool("10.9.0.0/24", "10.9.0.128/25", "10.9.0.1", {"router": "10.9.0.3"}),),
        options={"com.docker.network.bridge.enable_icc": "false"},
        labels={"a": "b"},
        internal=True,
        ipv6=True,
    )


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ({"Scope": "swarm"}, Unsupported, "the option Scope"),
        ({"Ingress": True}, Unsupported, "the option Ingress"),
        ({"IPAM": {"Driver": "other"}}, Unsupported, "IPAM driver 'other'"),
        ({"IPAM": {"Config": [{"Gateway": "10.9.0.1"}]}}, InvalidParameter, r"missing IPAM.Config\[0\].Subnet"),
    ],
)
def test_networks_that_cannot_be_are_refused(body, error, message):
    with pytest.raises(error, match=message):
        parse_network(Fields({"Name": "app", **body}))


def test_a_network_is_shown_with_the_containers_on_it(api, engine):
    engine.results["network_inspect"] = NetworkInfo(APP, ((container(network="app", networks={}), PLACE),))
    shown = api.get("/networks/app").json
    assert shown["Id"] == APP.id
    assert shown["IPAM"] == {
        "Driver": "default",
        "Options": {},
        "Config": [{"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1"}],
    }
    assert shown["Containers"] == {
        ID: {
            "Name": "web",
            "EndpointID": PLACE.id,
            "MacAddress": "02:42:0a:09:00:02",
            "IPv4Address": "10.9.0.2/24",
            "IPv6Address": "fd00::2/64",
        }
    }


def test_a_container_shows_its_places_on_networks(api, engine):
    web = container(
        network="app",
        networks={"app": EndpointSettings(APP.id, ("db",), address="10.9.0.2")},
        endpoints={"app": PLACE},
        sandbox="/run/netns/web",
    )
    engine.results["inspect"] = web
    shown = api.get("/containers/web/json").json["NetworkSettings"]
    assert (shown["SandboxKey"], shown["IPAddress"]) == ("/run/netns/web", "")
    assert shown["Networks"]["app"] == {
        "IPAMConfig": {"IPv4Address": "10.9.0.2"},
        "Links": None,
        "Aliases": ["db"],
        "MacAddress": "02:42:0a:09:00:02",
        "DriverOpts": None,
        "GwPriority": 0,
        "NetworkID": APP.id,
        "EndpointID": PLACE.id,
        "Gateway": "10.9.0.1",
        "IPAddress": "10.9.0.2",
        "IPPrefixLen": 24,
        "IPv6Gateway": "fd00::1",
        "GlobalIPv6Address": "fd00::2",
        "GlobalIPv6PrefixLen": 64,
        "DNSNames": ["web", "cccccccccccc"],
    }


def test_the_routes_of_networks_lead_to_their_jobs(api, engine):
    engine.results.update(
        network_create=APP,
        network_connect=None,
        network_disconnect=None,
        network_remove=None,
        network_prune=Pruned(("app",), 0),
    )
    assert api.post("/networks/create", {"Name": "app"}).json == {"Id": APP.id, "Warning": ""}
    assert api.post("/networks/app/connect", {"Container": "web"}).status == 200
    assert api.post("/networks/app/disconnect", {"Container": "web", "Force": True}).status == 200
    assert api.request("DELETE", "/networks/app").status == 204
    assert api.post("/networks/prune", None).json == {"NetworksDeleted": ["app"]}
    assert api.post("/networks/app/connect", {}).status == 400
    assert [job.name for job in engine.jobs] == [
        "network_create",
        "network_connect",
        "network_disconnect",
        "network_remove",
        "network_prune",
    ]
    assert engine.jobs[2].parameters == {"name": "app", "container": "web", "force": True}
