"""Dataclasses as JSON records."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom import records
from transom.config import Config
from transom.containers.model import Container
from transom.errors import InvalidParameter
from transom.graph.digest import Digest, chain_ids
from transom.graph.model import Image


class Colour(enum.Enum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    number: int = 0
    colour: Colour = Colour.RED


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None
    many: tuple[Inner, ...] = ()
    pair: tuple[int, str] = (0, "")
    table: dict[str, tuple[int, ...]] = field(default_factory=dict)
    path: Path = Path("/")


_inner = st.builds(Inner, number=st.integers())
_outer = st.builds(
    Outer,
    name=st.text(),
    inner=_inner,
    maybe=st.none() | _inner,
    many=st.lists(_inner).map(tuple),
    pair=st.tuples(st.integers(), st.text()),
    table=st.dictionaries(st.text(), st.lists(st.integers()).map(tuple)),
    path=st.just(Path("/a/b")),
)


@given(_outer)
def test_a_record_read_back_is_the_same_value(value: Outer) -> None:
    assert records.load(Outer, json.loads(json.dumps(records.dump(value)))) == value


@given(st.from_type(Container))
def test_every_container_lasts(container: Container) -> None:
    assert records.load(Container, json.loads(json.dumps(records.dump(container)))) == container


@given(st.from_type(Image))
def test_every_image_lasts(image: Image) -> None:
    assert records.load(Image, json.loads(json.dumps(records.dump(image)))) == image


def test_a_record_of_an_older_or_newer_engine_is_read() -> None:
    assert records.load(Outer, {"name": "a", "unknown": 1}) == Outer("a")


def test_chain_ids_are_those_of_the_specification() -> None:
    first, second = Digest.of(b"first"), Digest.of(b"second")
    assert chain_ids((first, second)) == (first, Digest.of(f"{first} {second}".encode()))
    assert chain_ids(()) == ()


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:abc", "md5:" + "0" * 32, "sha256:" + "G" * 64])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="invalid digest"):
        Digest.parse(text)


def test_a_configuration_file_changes_defaults_and_options_change_both(tmp_path: Path) -> None:
    path = tmp_path / "daemon.toml"
    path.write_text('data-root = "/x"\ngraphdriver = "vfs"\nregistry-mirrors = ["https://m"]\nidle-exit = 5\n')
    config = Config.load(path, graphdriver="overlay", execdriver=None, hosts=())
    assert (config.data_root, config.graphdriver, config.registry_mirrors) == (
        Path("/x"),
        "overlay",
        ("https://m",),
    )
    assert (config.idle_exit, config.execdriver, config.hosts) == (5, "", Config().hosts)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nonsense", "cannot read the configuration file"),
        ("colour = 1", "unknown key 'colour'"),
        ("data-root = 1", "should be a path"),
        ('registry-mirrors = "x"', "should be a list of strings"),
        ('threads = "many"', "should be of type int"),
        ("idle-exit = true", "should be a number"),
    ],
)
def test_a_wrong_configuration_file_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "daemon.toml"
    path.write_text(text)
    with pytest.raises(InvalidParameter, match=sentence):
        Config.load(path)
