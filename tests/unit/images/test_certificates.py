"""Which directories of certificates belong to a server."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from transom.errors import RegistryError
from transom_images.certificates import Certificates


@pytest.mark.parametrize(
    ("host", "port", "directory"),
    [
        ("registry.example", 443, "registry.example"),
        ("registry.example", 443, "registry.example:443"),
        ("registry.example", 5000, "registry.example:5000"),
        ("2001:db8::1", 5000, "[2001:db8::1]:5000"),
        ("[2001:db8::1]", 443, "[2001:db8::1]"),
    ],
)
def test_a_directory_is_named_like_the_server_in_a_reference(
    tmp_path: Path, host: str, port: int, directory: str
) -> None:
    (tmp_path / directory).mkdir()
    (tmp_path / directory / "alone.key").touch()
    with pytest.raises(RegistryError, match=r"missing client certificate alone\.cert for key alone\.key"):
        Certificates([str(tmp_path)])(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), host, port)


def test_other_servers_directories_and_other_files_are_left_alone(tmp_path: Path) -> None:
    for directory in ("registry.example", "registry.example:5001"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "alone.key").touch()
    (tmp_path / "registry.example:5000").mkdir()
    (tmp_path / "registry.example:5000" / "notes.txt").write_text("nothing of the kind")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    Certificates([str(tmp_path), "/nonexistent"])(context, "registry.example", 5000)
    assert context.get_ca_certs() == []
