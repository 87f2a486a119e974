"""A layer's directory is whole or not there."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from transom.errors import Conflict, NotFound, StorageFull
from transom.graph.layer_directories import LayerDirectories


@pytest.fixture
def layers(tmp_path: Path) -> LayerDirectories:
    return LayerDirectories(tmp_path)


def make(layers: LayerDirectories, layer: str, parent: str | None = None) -> None:
    with layers.making(layer, parent) as directory:
        (directory / "file").write_text(layer)


def test_a_layer_appears_when_it_is_complete(layers: LayerDirectories) -> None:
    with layers.making("one", None) as directory:
        (directory / "file").touch()
        with pytest.raises(NotFound, match="no such layer: one"):
            layers.path("one")
    assert (layers.path("one") / "file").exists()


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_layer_that_could_not_be_made(layers: LayerDirectories, error: BaseException) -> None:
    with pytest.raises(type(error)), layers.making("one", None) as directory:
        (directory / "file").touch()
        raise error
    assert list(layers.root.iterdir()) == []


def test_a_full_disk_is_said(layers: LayerDirectories) -> None:
    with pytest.raises(StorageFull, match="cannot make the layer one"), layers.making("one", None):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(layers.root.iterdir()) == []


def test_a_layer_that_exists_stays_as_it_is(layers: LayerDirectories) -> None:
    make(layers, "one")
    with pytest.raises(Conflict, match="has it already"), layers.making("one", None):
        pass
    assert (layers.path("one") / "file").read_text() == "one"
    assert [path.name for path in layers.root.iterdir()] == ["one"]


def test_a_lineage_goes_up_to_the_layer_without_parent(layers: LayerDirectories) -> None:
    make(layers, "c", "b")
    make(layers, "b", "a")
    make(layers, "a")
    assert layers.lineage("c") == ["c", "b", "a"]
    assert layers.parent("a") is None


def test_a_lineage_with_a_gap_says_what_is_missing(layers: LayerDirectories) -> None:
    make(layers, "c", "b")
    with pytest.raises(NotFound, match="no such layer: b"):
        layers.lineage("c")


def test_recovery_removes_what_is_not_known_or_was_not_finished(layers: LayerDirectories) -> None:
    for layer in ("one", "two"):
        make(layers, layer)
    (layers.root / ".half").mkdir()
    (layers.root / ".half" / "file").touch()
    (layers.root / ".own").mkdir()
    layers.recover({"one", ".own", "gone"})
    assert sorted(path.name for path in layers.root.iterdir()) == [".own", "one"]


def test_a_removed_layer_is_gone_and_removing_it_again_is_harmless(layers: LayerDirectories) -> None:
    make(layers, "one")
    layers.remove("one")
    layers.remove("one")
    assert list(layers.root.iterdir()) == []
