"""Registries with TLS: whom the engine knows, how it makes itself known, and where it goes without."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.certificates import Authority, Signed
from testbed.registry import Registry
from transom.config import Config
from transom.engine import Engine
from transom.errors import NotFound, RegistryError
from transom.graph.reference import Reference


@pytest.fixture(scope="module")
def secure(
    tmp_path_factory: pytest.TempPathFactory, outside: str, server_certificate: Signed, registry: Registry
) -> Iterator[Registry]:
    """A registry with TLS that has busybox."""
    with Registry(tmp_path_factory.mktemp("secure"), outside, signed=server_certificate) as found:
        _copy(registry, found)
        yield found


@pytest.fixture(scope="module")
def exclusive(
    tmp_path_factory: pytest.TempPathFactory,
    outside: str,
    server_certificate: Signed,
    authority: Authority,
) -> Iterator[Registry]:
    """A registry with TLS that wants to see a certificate of its clients."""
    directory = tmp_path_factory.mktemp("exclusive")
    with Registry(directory, outside, signed=server_certificate, authority=authority.certificate) as found:
        yield found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, outside: str, registry: Registry) -> Iterator[Registry]:
    """A registry without TLS that is not on loopback."""
    with Registry(tmp_path_factory.mktemp("plain"), outside) as found:
        _copy(registry, found)
        yield found


def _copy(source: Registry, target: Registry) -> None:
    command = ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"]
    done = [f"docker://{source.busybox}", f"docker://{target.address}/busybox:latest"]
    subprocess.run([*command, *done], check=True, capture_output=True)


class Host:
    """An engine, and the directories that it looks for certificates in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.roots = (root / "docker-certs", root / "transom-certs")

    def directory(self, registry: Registry, root: int = 0) -> Path:
        """Return a registry's directory, which is there."""
        directory = self.roots[root] / registry.address
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def engine(self, **settings: Any) -> Engine:
        """Return an engine, to be opened."""
        config = Config(
            data_root=self.root / "data",
            exec_root=self.root / "run",
            graphdriver="vfs",
            certificates=tuple(map(str, self.roots)),
            **settings,
        )
        return Engine(config)

    def pull(self, registry: Registry, name: str = "busybox", **settings: Any) -> None:
        with self.engine(**settings) as engine:
            engine.run("pull", reference=f"{registry.address}/{name}")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_registry_whose_authority_nobody_knows_is_not_trusted(host: Host, secure: Registry) -> None:
    with pytest.raises(RegistryError, match="certificate verify failed"):
        host.pull(secure)


@pytest.mark.parametrize("root", [0, 1])
def test_an_authority_is_trusted_for_the_registry_whose_directory_it_is_in(
    host: Host, secure: Registry, authority: Authority, root: int
) -> None:
    shutil.copy(authority.certificate, host.directory(secure, root) / "ca.crt")
    host.pull(secure)


def test_an_authority_is_not_trusted_for_other_registries(
    host: Host, secure: Registry, exclusive: Registry, authority: Authority
) -> None:
    shutil.copy(authority.certificate, host.directory(exclusive) / "ca.crt")
    with pytest.raises(RegistryError, match="certificate verify failed"):
        host.pull(secure)


def test_a_server_of_another_name_is_not_trusted(
    host: Host, tmp_path_factory: pytest.TempPathFactory, outside: str, authority: Authority
) -> None:
    signed = authority.sign("other", "other.example")
    with Registry(tmp_path_factory.mktemp("other"), outside, signed=signed) as registry:
        shutil.copy(authority.certificate, host.directory(registry) / "ca.crt")
        with pytest.raises(RegistryError, match="certificate is not valid for"):
            host.pull(registry)


def test_a_client_shows_its_certificate(host: Host, exclusive: Registry, authority: Authority) -> None:
    directory = host.directory(exclusive)
    shutil.copy(authority.certificate, directory / "ca.crt")
    with pytest.raises(RegistryError, match=r"certificate required|bad certificate"):
        host.pull(exclusive)
    client = authority.sign("client")
    shutil.copy(client.certificate, directory / "client.cert")
    shutil.copy(client.key, directory / "client.key")
    with pytest.raises(NotFound, match="not found: manifest unknown"):
        host.pull(exclusive, "nothing")


@pytest.mark.parametrize(
    ("present", "message"),
    [
        ("cert", r"missing key client\.key for client certificate client\.cert .* must use the extension \.crt"),
        ("key", r"missing client certificate client\.cert for key client\.key"),
    ],
)
def test_half_a_pair_is_an_error_that_names_the_other_half(
    host: Host, secure: Registry, authority: Authority, present: str, message: str
) -> None:
    signed = authority.sign("half")
    source = {"cert": signed.certificate, "key": signed.key}[present]
    shutil.copy(source, host.directory(secure) / f"client.{present}")
    with pytest.raises(RegistryError, match=message):
        host.pull(secure)


def test_a_file_that_is_no_certificate_is_named(host: Host, secure: Registry) -> None:
    (host.directory(secure) / "ca.crt").write_text("nonsense")
    with pytest.raises(RegistryError, match=r"cannot use the certificate .*ca\.crt"):
        host.pull(secure)


def test_an_insecure_registry_needs_no_authority(host: Host, secure: Registry) -> None:
    host.pull(secure, insecure_registries=(secure.address,))


@pytest.mark.parametrize("setting", ["{0}", "192.0.2.0/24", "http://{0}"])
def test_an_insecure_registry_may_do_without_tls(host: Host, plain: Registry, setting: str) -> None:
    host.pull(plain, insecure_registries=(setting.format(plain.address),))


def test_no_other_registry_is_spoken_to_without_tls(host: Host, plain: Registry) -> None:
    with pytest.raises(RegistryError, match="cannot connect"):
        host.pull(plain)


def test_an_image_is_pushed_over_tls_by_whom_the_registry_knows(
    host: Host, secure: Registry, exclusive: Registry, authority: Authority
) -> None:
    client = authority.sign("pusher")
    for registry in (secure, exclusive):
        shutil.copy(authority.certificate, host.directory(registry) / "ca.crt")
    shutil.copy(client.certificate, host.directory(exclusive) / "client.cert")
    shutil.copy(client.key, host.directory(exclusive) / "client.key")
    with host.engine() as engine:
        engine.run("pull", reference=f"{secure.address}/busybox")
        image = engine.images.get(f"{secure.address}/busybox")
        engine.images.tag(image, Reference.parse(f"{exclusive.address}/pushed"))
        (digest,) = engine.run("push", reference=f"{exclusive.address}/pushed", tag="latest")
        engine.run("image_remove", name=image.id, force=True)
        assert engine.run("pull", reference=f"{exclusive.address}/pushed@{digest}") == digest


def test_a_registry_with_tls_on_loopback_needs_no_authority(
    host: Host, tmp_path_factory: pytest.TempPathFactory, server_certificate: Signed, registry: Registry
) -> None:
    with Registry(tmp_path_factory.mktemp("loopback"), signed=server_certificate) as found:
        _copy(registry, found)
        host.pull(found)
