"""Links: how they are written, and what they put into an environment."""

from __future__ import annotations

import pytest

from transom.containers.links import link_variables, parse_link
from transom.errors import InvalidParameter


@pytest.mark.parametrize(
    ("text", "parsed"),
    [("db", ("db", "db")), ("db:store", ("db", "store")), ("/db:/web/store", ("db", "store"))],
)
def test_a_link_names_a_container_and_an_alias(text: str, parsed: tuple[str, str]) -> None:
    assert parse_link(text) == parsed


@pytest.mark.parametrize("text", ["", "a:b:c"])
def test_wrong_links_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        parse_link(text)


def test_ports_are_told_one_by_one_with_the_first_of_tcp_in_front() -> None:
    assert link_variables("/web/my-db", "10.0.0.2", (), ("53/udp", "443/tcp")) == (
        "MY_DB_PORT=tcp://10.0.0.2:443",
        "MY_DB_PORT_443_TCP=tcp://10.0.0.2:443",
        "MY_DB_PORT_443_TCP_ADDR=10.0.0.2",
        "MY_DB_PORT_443_TCP_PORT=443",
        "MY_DB_PORT_443_TCP_PROTO=tcp",
        "MY_DB_PORT_53_UDP=udp://10.0.0.2:53",
        "MY_DB_PORT_53_UDP_ADDR=10.0.0.2",
        "MY_DB_PORT_53_UDP_PORT=53",
        "MY_DB_PORT_53_UDP_PROTO=udp",
        "MY_DB_NAME=/web/my-db",
    )


def test_ports_without_a_gap_are_told_as_a_range_too() -> None:
    told = link_variables("/web/db", "10.0.0.2", (), ("80/tcp", "81/tcp", "83/tcp", "84/udp", "90-92/tcp"))
    ranges = [item for item in told if "_START=" in item or "_END=" in item]
    assert ranges == [
        "DB_PORT_80_TCP_START=tcp://10.0.0.2:80",
        "DB_PORT_80_TCP_PORT_START=80",
        "DB_PORT_80_TCP_END=tcp://10.0.0.2:81",
        "DB_PORT_80_TCP_PORT_END=81",
        "DB_PORT_90_TCP_START=tcp://10.0.0.2:90",
        "DB_PORT_90_TCP_PORT_START=90",
        "DB_PORT_90_TCP_END=tcp://10.0.0.2:92",
        "DB_PORT_90_TCP_PORT_END=92",
    ]


def test_variables_are_passed_on_but_for_those_that_every_container_has() -> None:
    environment = ("A=1", "B=x=y", "NOTHING", "HOME=/root", "PATH=/bin")
    assert link_variables("/web/db", "10.0.0.2", environment, ()) == (
        "DB_NAME=/web/db",
        "DB_ENV_A=1",
        "DB_ENV_B=x=y",
    )
