"""From the JSON of a request to the engine's types."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.containers.model import Container, Device, MountKind, RestartPolicy, Ulimit
from transom.errors import InvalidParameter, TransomError, Unsupported
from transom.graph.digest import Digest
from transom.graph.model import Healthcheck
from transom_api.bodies import parse_container, parse_exec
from transom_api.fields import Fields, parse_object
from transom_api.shapes_containers import container_details
from transom_api.unsupported import CONTAINER_FIELDS, HOST_FIELDS


def parse(**body):
    return parse_container(parse_object(json.dumps({"Image": "busybox", **body})))


def parse_host(**host):
    return parse(HostConfig=host)[1]


#: What the stock client 28 sends for `docker run busybox true`, without what it means.
STOCK = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": True,
    "AttachStderr": True,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": ["true"],
    "Image": "busybox",
    "Volumes": {},
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": {},
    "HostConfig": {
        "Binds": None,
        "ContainerIDFile": "",
        "LogConfig": {"Type": "", "Config": {}},
        "NetworkMode": "default",
        "PortBindings": {},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": False,
        "VolumeDriver": "",
        "VolumesFrom": None,
        "ConsoleSize": [0, 0],
        "CapAdd": None,
        "CapDrop": None,
        "CgroupnsMode": "",
        "Dns": [],
        "DnsOptions": [],
        "DnsSearch": [],
        "ExtraHosts": None,
        "GroupAdd": None,
        "IpcMode": "",
        "Cgroup": "",
        "Links": None,
        "OomScoreAdj": 0,
        "PidMode": "",
        "Privileged": False,
        "PublishAllPorts": False,
        "ReadonlyRootfs": False,
        "SecurityOpt": None,
        "UTSMode": "",
        "UsernsMode": "",
        "ShmSize": 0,
        "Isolation": "",
        "CpuShares": 0,
        "Memory": 0,
        "NanoCpus": 0,
        "CgroupParent": "",
        "BlkioWeight": 0,
        "BlkioWeightDevice": [],
        "MemorySwap": 0,
        "MemorySwappiness": -1,
        "OomKillDisable": False,
        "PidsLimit": 0,
        "Ulimits": [],
        "MaskedPaths": None,
        "ReadonlyPaths": None,
    },
    "NetworkingConfig": {
        "EndpointsConfig": {
            "default": {
                "IPAMConfig": None,
                "Links": None,
                "Aliases": None,
                "MacAddress": "",
                "DriverOpts": None,
                "GwPriority": 0,
                "NetworkID": "",
            }
        }
    },
}


def test_what_the_stock_client_sends_for_nothing_special_asks_for_nothing_special():
    config, host = parse_container(parse_object(json.dumps(STOCK)))
    assert (config.image, config.run.cmd, config.run.entrypoint) == ("busybox", ("true",), None)
    assert (config.attach_stdin, config.attach_stdout, config.attach_stderr) == (False, True, True)
    assert (host.network, host.restart, host.shm_size, host.mounts) == ("default", RestartPolicy(), 64 << 20, ())


def test_everything_that_can_be_asked_for_is_understood():
    config, host = parse(
        Hostname="h",
        Domainname="d",
        User="1:2",
        Env=["A=b"],
        Cmd="true",
        Entrypoint=[],
        WorkingDir="/w",
        Labels={"k": "v"},
        ExposedPorts={"80/tcp": {}},
        Volumes={"/data": {}},
        StopSignal="SIGINT",
        StopTimeout=0,
        Tty=True,
        OpenStdin=True,
        StdinOnce=True,
        AttachStdin=True,
        HostConfig={
            "StorageOpt": {"driver": "vfs"},
            "Runtime": "chroot",
            "NetworkMode": "host",
            "AutoRemove": True,
            "ReadonlyRootfs": True,
            "Init": True,
            "Binds": ["/a:/b:ro"],
            "GroupAdd": ["adm"],
            "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": -1}],
            "ShmSize": 1 << 20,
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            "ConsoleSize": [24, 80],
            "OomScoreAdj": 500,
            "Annotations": {"a": "b"},
            "IpcMode": "shareable",
            "PidMode": "host",
            "UTSMode": "host",
            "CgroupnsMode": "private",
            "Sysctls": {"net.ipv4.ip_forward": "1"},
            "Devices": [
                {"PathOnHost": "/dev/fuse"},
                {"PathOnHost": "/a", "PathInContainer": "/b", "CgroupPermissions": "r"},
            ],
            "VolumesFrom": ["donor:ro"],
            "ContainerIDFile": "/cid",
        },
        Healthcheck={
            "Test": ["CMD", "true"],
            "Interval": 1,
            "Timeout": 2,
            "Retries": 3,
            "StartPeriod": 4,
            "StartInterval": 5,
        },
    )
    run = config.run
    assert (config.hostname, config.domainname, run.user, run.env, run.working_dir) == ("h", "d", "1:2", ("A=b",), "/w")
    assert (run.cmd, run.entrypoint, run.labels) == (("true",), (), {"k": "v"})
    assert (run.exposed_ports, run.volumes, run.stop_signal) == (("80/tcp",), ("/data",), "SIGINT")
    assert (config.stop_timeout, config.tty, config.open_stdin, config.stdin_once) == (0, True, True, True)
    assert (host.graphdriver, host.execdriver, host.network) == ("vfs", "chroot", "host")
    assert (host.auto_remove, host.read_only, host.init, host.binds) == (True, True, True, ("/a:/b:ro",))
    assert (host.group_add, host.ulimits, host.shm_size) == (("adm",), (Ulimit("nofile", 1, -1),), 1 << 20)
    assert (host.restart, host.log_driver) == (RestartPolicy("on-failure", 3), "json-file")
    assert (host.log_options, host.console_size, host.oom_score_adj) == ({"max-size": "1m"}, (24, 80), 500)
    assert host.annotations == {"a": "b"}
    assert (host.ipc, host.pid, host.uts, host.cgroupns) == ("shareable", "host", "host", "private")
    assert (host.sysctls, host.volumes_from) == ({"net.ipv4.ip_forward": "1"}, ("donor:ro",))
    assert host.devices == (Device("/dev/fuse", "/dev/fuse", "rwm"), Device("/a", "/b", "r"))
    assert host.container_id_file == "/cid"
    assert run.healthcheck == Healthcheck(("CMD", "true"), 1, 2, 3, 4, 5)


@pytest.mark.parametrize("field", sorted(HOST_FIELDS))
def test_a_host_option_that_the_engine_does_not_do_is_refused_by_its_name(field):
    for value in ("x", 5, True, ["x"], {"x": "y"}):
        with pytest.raises(Unsupported, match=rf"HostConfig\.{field} is not supported"):
            parse_host(**{field: value})
    for value in (None, "", 0, False, [], {}):
        parse_host(**{field: value})


@pytest.mark.parametrize("field", sorted(CONTAINER_FIELDS))
def test_an_option_that_the_engine_does_not_do_is_refused_by_its_name(field):
    with pytest.raises(Unsupported, match=f"the option {field} is not supported"):
        parse(**{field: {"Test": ["CMD", "true"]}})


@pytest.mark.parametrize("field", ["MaskedPaths", "ReadonlyPaths"])
def test_no_masked_path_at_all_is_refused_since_it_is_not_the_default(field):
    with pytest.raises(Unsupported, match=field):
        parse_host(**{field: []})


def test_other_storage_options_are_refused():
    with pytest.raises(Unsupported, match=r"storage option 'dm\.basesize'"):
        parse_host(StorageOpt={"size": "1G", "dm.basesize": "1G"})


def test_storage_options_choose_a_driver_and_a_size():
    host = parse_host(StorageOpt={"size": "1G", "driver": "btrfs"})
    assert (host.graphdriver, host.storage_size) == ("btrfs", "1G")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"Image": 3}, "Image"),
        ({"Env": "A=b"}, "Env"),
        ({"Env": [3]}, "Env"),
        ({"Tty": "yes"}, "Tty"),
        ({"StopTimeout": 1.5}, "StopTimeout"),
        ({"StopTimeout": True}, "StopTimeout"),
        ({"HostConfig": []}, "HostConfig"),
        ({"HostConfig": {"ShmSize": "64m"}}, "HostConfig.ShmSize"),
        ({"HostConfig": {"ShmSize": 2**63}}, "HostConfig.ShmSize"),
        ({"HostConfig": {"Ulimits": [3]}}, "HostConfig.Ulimits"),
        ({"HostConfig": {"Ulimits": [{"Name": 3}]}}, "HostConfig.Ulimits[0].Name"),
        ({"HostConfig": {"ConsoleSize": [1]}}, "HostConfig.ConsoleSize"),
        ({"HostConfig": {"LogConfig": {"Config": {"a": 1}}}}, "HostConfig.LogConfig.Config.a"),
        ({"User": "a\0b"}, "User"),
    ],
)
def test_a_wrong_type_is_refused_by_the_name_of_the_field(body, field):
    with pytest.raises(InvalidParameter) as caught:
        parse(**body)
    assert str(caught.value).startswith(f"invalid value for {field}:")


def test_names_of_fields_may_be_written_in_other_cases_as_in_go():
    config = parse_exec(Fields({"cmd": ["sh"], "detachKeys": "ctrl-p", "tty": True, "Tty": False, "env": None}))
    assert (config.cmd, config.detach_keys, config.tty) == (("sh",), "ctrl-p", False)
    with pytest.raises(InvalidParameter, match="Tty"):
        parse_exec(Fields({"Cmd": ["sh"], "TTY": 1}))


def test_a_container_of_no_image_is_refused():
    with pytest.raises(InvalidParameter, match="Config cannot be empty"):
        parse_container(parse_object("{}"))


def test_long_mounts_are_understood():
    bind, volume, tmpfs = parse_host(
        Mounts=[
            {
                "Type": "bind",
                "Source": "/a",
                "Target": "/b",
                "ReadOnly": True,
                "BindOptions": {"Propagation": "rslave", "NonRecursive": True, "CreateMountpoint": True},
            },
            {
                "Type": "volume",
                "Source": "data",
                "Target": "/v",
                "VolumeOptions": {
                    "NoCopy": True,
                    "Labels": {"k": "v"},
                    "DriverConfig": {"Name": "local", "Options": {"type": "tmpfs"}},
                },
            },
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 448}},
        ]
    ).mounts
    assert (bind.kind, bind.source, bind.destination) == (MountKind.BIND, "/a", "/b")
    assert (bind.read_only, bind.propagation, bind.recursive, bind.create_source) == (True, "rslave", False, True)
    assert (volume.kind, volume.source, volume.copy, volume.labels) == (MountKind.VOLUME, "data", False, {"k": "v"})
    assert (volume.driver, volume.driver_options) == ("local", {"type": "tmpfs"})
    assert (tmpfs.kind, tmpfs.tmpfs.size, tmpfs.tmpfs.mode) == (MountKind.TMPFS, 4096, 0o700)


def test_mounts_of_parts_and_images_are_understood():
    volume, image, fixed = parse_host(
        Mounts=[
            {"Type": "volume", "Source": "data", "Target": "/v", "VolumeOptions": {"Subpath": "a/b"}},
            {"Type": "image", "Source": "busybox", "Target": "/i", "ImageOptions": {"Subpath": "etc"}},
            bind(ReadOnly=True, ReadOnlyForceRecursive=True, Propagation="rprivate"),
        ]
    ).mounts
    assert (volume.subpath, image.subpath) == ("a/b", "etc")
    assert (image.kind, image.source, image.read_only) == (MountKind.IMAGE, "busybox", True)
    assert (fixed.force_recursive, fixed.writable_below) == (True, False)


def bind(*, ReadOnly: bool = False, **options: object) -> dict[str, object]:  # noqa: N803 as the API has it
    return {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": ReadOnly, "BindOptions": options}


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        ({"Type": "bind", "Source": "/a"}, "field Target must not be empty"),
        ({"Type": "bind", "Target": "/a"}, "field Source must not be empty"),
        ({"Type": "tmpfs", "Target": "/a", "Source": "/b"}, "field Source must not be specified"),
        ({"Type": "nfs", "Target": "/a"}, "for type .nfs.: mount type unknown"),
        ({"Type": "image", "Target": "/a"}, "field Source must not be empty"),
        ({"Type": "npipe", "Target": "/a", "Source": "x"}, "of the type npipe are not supported"),
        ({"Type": "volume", "Target": "/a", "BindOptions": {"Propagation": "private"}}, "BindOptions must not be"),
        (
            {"Type": "bind", "Source": "/a", "Target": "/b", "ImageOptions": {"Subpath": "x"}},
            "ImageOptions must not be",
        ),
        ({"Type": "volume", "Target": "/a", "ReadOnly": True}, "must not set ReadOnly mode when using anonymous"),
        (bind(ReadOnlyNonRecursive=True), "are for a mount that is ReadOnly"),
        (bind(ReadOnly=True, ReadOnlyNonRecursive=True, ReadOnlyForceRecursive=True), "exclude each other"),
        (bind(ReadOnly=True, NonRecursive=True, ReadOnlyForceRecursive=True), "exclude each other"),
        (bind(ReadOnly=True, Propagation="rshared", ReadOnlyForceRecursive=True), "needs the propagation rprivate"),
        ({"Type": "tmpfs", "Target": "/a", "TmpfsOptions": {"SizeBytes": -1}}, "out of range"),
    ],
)
def test_a_mount_that_cannot_be_is_refused(mount, message):
    with pytest.raises(TransomError, match=message):
        parse_host(Mounts=[mount])


def test_short_tmpfs_mounts_have_dockers_defaults_and_options():
    plain, changed = parse_host(Tmpfs={"/a": "", "/b": "rw,exec,size=64m,mode=700,uid=5"}).mounts
    assert (plain.tmpfs.options, plain.tmpfs.size, plain.tmpfs.mode) == (("noexec", "nosuid", "nodev"), 0, 0o1777)
    assert (changed.tmpfs.size, changed.tmpfs.mode, changed.read_only) == (64 << 20, 0o700, False)
    assert changed.tmpfs.options == ("nosuid", "nodev", "exec", "uid=5")
    assert parse_host(Tmpfs={"/a": "ro"}).mounts[0].read_only
    for wrong in ("nonsense", "size=big", "mode=9", "source=/etc"):
        with pytest.raises(InvalidParameter, match="invalid tmpfs option"):
            parse_host(Tmpfs={"/a": wrong})


def test_an_exec_is_understood():
    config = parse_exec(
        parse_object(
            b'{"Cmd":["sh","-c","true"],"Env":["A=b"],"User":"me","WorkingDir":"/w","Tty":true,"AttachStdin":true,'
            b'"AttachStdout":true,"AttachStderr":true,"DetachKeys":"ctrl-a","ConsoleSize":[24,80]}'
        )
    )
    assert (config.cmd, config.env, config.user, config.working_dir) == (("sh", "-c", "true"), ("A=b",), "me", "/w")
    assert (config.tty, config.attach_stdin, config.detach_keys, config.console_size) == (
        True,
        True,
        "ctrl-a",
        (24, 80),
    )
    with pytest.raises(Unsupported, match="privileged"):
        parse_exec(parse_object(b'{"Cmd":["true"],"Privileged":true}'))
    with pytest.raises(InvalidParameter, match="detach keys"):
        parse_exec(parse_object(b'{"Cmd":["true"],"DetachKeys":"ctrl-1"}'))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
field_names = st.sampled_from(sorted((STOCK | STOCK["HostConfig"] | {"Mounts": 0, "Tmpfs": 0, "StorageOpt": 0}).keys()))


@given(st.dictionaries(field_names, json_values), st.dictionaries(field_names, json_values))
def test_any_body_is_understood_or_refused_with_a_reason(config, host):
    try:
        parse_container(parse_object(json.dumps({"Image": "a", **config, "HostConfig": host})))
    except (InvalidParameter, Unsupported) as error:
        assert str(error)


@given(st.binary())
def test_any_bytes_are_understood_or_refused_with_a_reason(content):
    try:
        parse_object(content)
    except InvalidParameter as error:
        assert str(error)


def test_a_container_shows_what_was_asked_of_it(tmp_path):
    asked = {
        "Tmpfs": {"/t": "size=64m", "/u": ""},
        "Mounts": [
            {"Type": "tmpfs", "Target": "/m", "TmpfsOptions": {"SizeBytes": 4096}},
            {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True},
        ],
        "StorageOpt": {"driver": "vfs"},
        "Binds": ["/x:/y"],
        "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
        "NetworkMode": "host",
        "ConsoleSize": [24, 80],
    }
    config, host = parse(**{**STOCK, "HostConfig": {**STOCK["HostConfig"], **asked}})
    container = Container(
        "c" * 64, "web", 1, Digest("sha256:" + "a" * 64), config, host, "vfs", "chroot", "host", "json-file"
    )
    shown = json.loads(json.dumps(container_details(container, tmp_path, (), {})))["HostConfig"]
    assert {name: shown[name] for name in asked} == asked
    assert shown["Runtime"] == "chroot"
    # What is shown can be asked for again.
    del shown["MaskedPaths"], shown["ReadonlyPaths"]
    again = parse(**{**STOCK, "HostConfig": shown})[1]
    assert again == replace(host, execdriver="chroot", log_driver="json-file", ipc="private", cgroupns="private")
