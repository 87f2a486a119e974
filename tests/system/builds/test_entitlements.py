"""What steps may do only where the client allows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.builds import Builder
from transom.errors import InvalidParameter

#: Takes CAP_SYS_ADMIN, a device of the machine, and a part of /proc that containers cannot change.
PRIVILEGED = "mount -t tmpfs none /mnt && test -w /proc/sys/kernel/hostname && test -c /dev/kmsg"


def log(builder: Builder, text: str, **parameters: object) -> str:
    built = builder.build(text, no_cache=True, **parameters)
    return "".join(item["log"] for item in built.vertices if item.get("log"))


@pytest.mark.parametrize("execution", ["namespaces", "chroot"])
def test_an_insecure_step_has_all_privileges_and_the_next_one_none(builder: Builder, execution: str) -> None:
    text = f"FROM BASE\nRUN mkdir /mnt\nRUN --security=insecure {PRIVILEGED} && echo could\nRUN ! ({PRIVILEGED})\n"
    assert "could\n" in log(builder, text, allow=("security.insecure",), execdriver=execution)


def test_a_step_in_the_machines_network(builder: Builder) -> None:
    text = "FROM BASE\nRUN --network=host readlink /proc/self/ns/net\n"
    host = f"{Path('/proc/self/ns/net').readlink()}\n"
    assert log(builder, text, allow=("network.host",)) == host
    assert log(builder, text, network="host") == host
    assert log(builder, text.replace("--network=host ", "")) != host


@pytest.mark.parametrize(
    ("flag", "need"), [("security=insecure", "security.insecure"), ("network=host", "network.host")]
)
def test_what_nobody_has_allowed_is_refused_before_anything_is_done(builder: Builder, flag: str, need: str) -> None:
    other = {"security.insecure", "network.host"} - {need}
    with pytest.raises(InvalidParameter, match=f"{need} is not allowed"):
        builder.build(f"FROM BASE\nRUN echo first\nRUN --{flag} true\n", no_cache=True, allow=tuple(other))
    assert "first" not in str(builder.messages)


def test_an_entitlement_that_there_is_not(builder: Builder) -> None:
    with pytest.raises(InvalidParameter, match="unknown entitlement device"):
        builder.build("FROM BASE\n", allow=("device",))
