"""Images that other tools made, from a real registry, into each graph driver."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from transom.engine import Engine
from transom.errors import NotFound

if TYPE_CHECKING:
    from testbed.registry import Registry


def run(*command: str | Path) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout.strip()


def files(engine: Engine, reference: str) -> dict[str, str]:
    """What is in a pulled image: digests of regular files, targets of symbolic links."""
    driver = engine.graphdriver()
    layer = engine.layers.ensure(engine.images.get(reference), driver)
    assert layer is not None
    with engine.layers.mounted(driver, layer) as root:
        return tree(root)


def tree(root: Path) -> dict[str, str]:
    found = {}
    for path in root.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(root))] = str(path.readlink())
        elif path.is_file():
            found[str(path.relative_to(root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.fixture(scope="module")
def layered(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """An image of three layers, the last with a deletion, that umoci made; its reference, and its tree."""
    work = tmp_path_factory.mktemp("layered")
    image, bundle = f"{work}/layout:it", work / "bundle"
    run("umoci", "init", "--layout", work / "layout")
    run("umoci", "new", "--image", image)
    run("umoci", "unpack", "--image", image, bundle)
    root = bundle / "rootfs"
    for step in range(3):
        (root / f"directory-{step}").mkdir()
        (root / f"directory-{step}" / "big").write_bytes(hashlib.shake_256(bytes([step])).digest(1 << 20))
        (root / f"link-{step}").symlink_to(f"directory-{step}/big")
        (root / "changed").write_text(f"{step}")
        if step == 2:
            (root / "directory-0" / "big").unlink()
        run("umoci", "repack", "--refresh-bundle", "--image", image, bundle)
    return registry.push(f"oci:{image}", "layered:latest"), root


@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_an_image_of_several_layers_is_the_tree_that_it_was_made_from(
    open_engine: Callable[..., Engine], layered: tuple[str, Path], driver: str
) -> None:
    reference, root = layered
    engine = open_engine(graphdriver=driver)
    engine.run("pull", reference=reference)
    assert files(engine, reference) == tree(root)


def test_an_image_of_dockers_schema_is_the_same_image(
    engine: Engine, registry: Registry, layered: tuple[str, Path]
) -> None:
    reference, root = layered
    target = f"docker://{registry.address}/converted:latest"
    flags = ("--src-tls-verify=false", "--dest-tls-verify=false", "--format", "v2s2")
    run("skopeo", "--insecure-policy", "copy", *flags, f"docker://{reference}", target)
    engine.run("pull", reference=f"{registry.address}/converted")
    assert files(engine, f"{registry.address}/converted") == tree(root)


def test_an_image_with_zstd_layers_is_the_same_image(
    engine: Engine, registry: Registry, layered: tuple[str, Path], tmp_path: Path
) -> None:
    reference, root = layered
    plain, packed = f"dir:{tmp_path / 'plain'}", f"oci:{tmp_path / 'packed'}:it"
    copy = ("skopeo", "--insecure-policy", "copy")
    run(*copy, "--src-tls-verify=false", "--dest-decompress", f"docker://{reference}", plain)
    run(*copy, "--dest-compress-format", "zstd", plain, packed)
    target = f"{registry.address}/zstd:latest"
    # Else skopeo takes the layers that the registry has already, which are gzip.
    run(*copy, "--dest-tls-verify=false", "--preserve-digests", packed, f"docker://{target}")
    assert "tar+zstd" in run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{target}")
    engine.run("pull", reference=target)
    assert files(engine, target) == tree(root)


def test_an_image_that_buildah_made_runs_with_its_configuration(
    engine: Engine, registry: Registry, tmp_path: Path
) -> None:
    tool = (
        "buildah",
        "--root",
        tmp_path / "root",
        "--runroot",
        tmp_path / "runroot",
        "--storage-driver",
        "vfs",
    )
    container = run(*tool, "from", "scratch")
    (tmp_path / "hello").write_text("hello\n")
    run(*tool, "copy", container, tmp_path / "hello", "/hello")
    run(*tool, "config", "--cmd", '["/hello"]', "--env", "A=b", "--workingdir", "/w", container)
    target = f"{registry.address}/built:v1"
    run(*tool, "commit", "--tls-verify=false", container, f"docker://{target}")
    run(*tool, "rm", container)
    engine.run("pull", reference=target)
    config = engine.images.get(target).config
    assert (config.cmd, config.working_dir) == (("/hello",), "/w")
    assert "A=b" in config.env
    assert "hello" in files(engine, target)


def test_the_digest_is_the_one_that_the_registry_says(engine: Engine, layered: tuple[str, Path]) -> None:
    reference, _ = layered
    digest = run("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{reference}")
    assert engine.run("pull", reference=reference) == digest
    by_digest = reference.replace(":latest", f"@{digest}")
    assert engine.run("pull", reference=by_digest) == digest


def test_all_tags_of_a_repository_are_pulled(engine: Engine, registry: Registry, layered: tuple[str, Path]) -> None:
    for tag in ("one", "two"):
        registry.push(f"oci:{layered[1].parents[1]}/layout:it", f"many:{tag}")
    heard: list[Any] = []
    engine.job("pull", reference=f"{registry.address}/many", all_tags=True, report=heard.append).run()
    said = [item.status for item in heard if item.status.startswith("Status")]
    assert said == [f"Status: Downloaded newer image for {registry.address}/many"]
    (image,) = engine.images.list()
    assert [reference.tag for reference in engine.images.tags(image)] == ["one", "two"]


def test_a_repository_that_does_not_exist_is_not_found(engine: Engine, registry: Registry) -> None:
    with pytest.raises(NotFound, match="nothing:latest not found: manifest unknown: manifest unknown"):
        engine.run("pull", reference=f"{registry.address}/nothing")
    assert engine.images.list() == ()
