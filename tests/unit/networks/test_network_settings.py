"""What containers ask for on networks, and the routes that they get."""

from __future__ import annotations

import pytest

from transom.errors import Forbidden, InvalidParameter
from transom.networks.connections import default_routes
from transom.networks.files import Resolution, hosts_file
from transom.networks.model import Endpoint, EndpointSettings, Network, Pool, option_boolean
from transom.networks.options import interface_sysctls
from transom.networks.settings import check_settings, parse_mac

GIVEN = Network("a", "app", "bridge", pools=(Pool("10.9.0.0/24"), Pool("fd00::/64")))
CHOSEN = Network("b", "chosen", "bridge", pools=(Pool("172.17.0.0/16", chosen=True),))
DEFAULT = Network("c", "bridge", "bridge", pools=(Pool("172.18.0.0/16"),), builtin=True)
NONE = Network("d", "none", "none", builtin=True)
NAME, SYSCTLS = "com.docker.network.endpoint.ifname", "com.docker.network.endpoint.sysctls"


@pytest.mark.parametrize(
    ("network", "settings", "message"),
    [
        (GIVEN, EndpointSettings(address="10.8.0.1"), "no configured subnet contains IP address 10.8.0.1"),
        (GIVEN, EndpointSettings(address="fd00::5"), "invalid IPv4 address: fd00::5"),
        (GIVEN, EndpointSettings(address6="fd01::5"), "no configured subnet contains IP address fd01::5"),
        (CHOSEN, EndpointSettings(address="172.17.0.9"), "only when connecting to networks with user configured"),
        (DEFAULT, EndpointSettings(address="172.18.0.9"), "supported on user defined networks only"),
        (DEFAULT, EndpointSettings(aliases=("web",)), "aliases are only supported for user-defined networks"),
        (GIVEN, EndpointSettings(link_local=("here",)), "invalid link-local IP address: here"),
        (NONE, EndpointSettings(link_local=("169.254.1.1",)), "supported on networks with an interface only"),
        (NONE, EndpointSettings(driver_options={NAME: "x"}), "supported on networks with an interface only"),
        (GIVEN, EndpointSettings(driver_options={"other": "x"}), "there is no option 'other' of endpoints"),
        (GIVEN, EndpointSettings(driver_options={NAME: "sixteen-bytes-xx"}), "invalid interface name"),
        (GIVEN, EndpointSettings(driver_options={NAME: "lo"}), "it is the loopback interface's"),
        (GIVEN, EndpointSettings(driver_options={SYSCTLS: "net.ipv4.conf.eth0.rp_filter=1"}), "unrecognised network"),
        (GIVEN, EndpointSettings(driver_options={SYSCTLS: "net.ipv4.conf.IFNAME.../../x=1"}), "unrecognised network"),
        (GIVEN, EndpointSettings(driver_options={SYSCTLS: "kernel.conf.IFNAME.x=1"}), "unrecognised network"),
    ],
)
def test_what_a_network_cannot_give_is_refused(network, settings, message):
    with pytest.raises(InvalidParameter, match=f"(?s)invalid config for network {network.name}.*{message}"):
        check_settings(network, settings)


def test_what_a_network_can_give_is_accepted():
    check_settings(GIVEN, EndpointSettings(aliases=("web",), address="10.9.0.9", address6="fd00::9"))


def test_variables_of_an_interface_are_paths():
    text = "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.ifname.accept_ra=2"
    assert interface_sysctls({SYSCTLS: text}) == {"ipv4/conf/{}/log_martians": "1", "ipv6/conf/{}/accept_ra": "2"}
    assert interface_sysctls({}) == {}


def test_nobody_is_on_a_network_that_is_only_a_configuration():
    with pytest.raises(Forbidden, match="cannot create endpoint on configuration-only network"):
        check_settings(Network("e", "base", "none", config_only=True), EndpointSettings())


def test_mac_addresses_are_written_with_colons():
    assert parse_mac("92-D0-c6-0a-29-33") == "92:d0:c6:0a:29:33"
    with pytest.raises(InvalidParameter, match="invalid mac address: 92:d0"):
        parse_mac("92:d0")
    with pytest.raises(InvalidParameter, match="that of a group"):
        parse_mac("01:00:5e:00:00:01")


def endpoint(name, **fields):
    return Endpoint(name, name, name, interface=f"if-{name}", **fields)


def test_the_default_route_is_that_of_the_highest_priority_and_then_of_the_first_name():
    two = {name: endpoint(name, gateway=f"gateway of {name}") for name in ("b", "a")}
    assert default_routes(two) == {"if-a": ["gateway of a"]}
    two["b"] = endpoint("b", gateway="gateway of b", gateway_priority=1)
    assert default_routes(two) == {"if-b": ["gateway of b"]}
    two["c"] = endpoint("c", gateway6="six of c", gateway_priority=2)
    assert default_routes(two) == {"if-b": ["gateway of b"], "if-c": ["six of c"]}
    assert default_routes({"internal": endpoint("internal")}) == {}


def test_options_say_yes_or_no():
    assert option_boolean({}, "icc", True) is True
    assert option_boolean({"icc": "False"}, "icc", True) is False
    with pytest.raises(InvalidParameter, match="invalid value 'maybe' for the option icc"):
        option_boolean({"icc": "maybe"}, "icc", True)


def test_a_hosts_file_has_the_containers_own_names_last():
    lines = hosts_file({"10.9.0.2": ("web.example", "web")}, [("db", "10.9.0.9")]).splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[-2:] == ["10.9.0.9\tdb", "10.9.0.2\tweb.example web"]


def test_name_servers_on_the_machines_loopback_are_not_a_containers():
    machine = Resolution(("127.0.0.53", "10.0.0.1", "::1"), ("example.org",), ("edns0",))
    assert machine.reachable().servers == ("10.0.0.1",)
    assert Resolution(("127.0.0.53",)).reachable().servers == ("8.8.8.8", "8.8.4.4")
    assert machine.text().splitlines()[-2:] == ["search example.org", "options edns0"]


def test_what_a_container_asks_for_takes_the_place_of_the_machines():
    machine = Resolution(("10.0.0.1",), ("example.org",), ("edns0",))
    asked = machine.overridden(("10.0.0.2",), (".",), ())
    assert asked == Resolution(("10.0.0.2",), (), ("edns0",))
