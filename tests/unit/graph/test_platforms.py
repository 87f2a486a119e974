"""Platforms as users write them, and which images run on which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.errors import InvalidParameter, NotFound, TransomError
from transom.graph.content import Descriptor
from transom.graph.digest import Digest
from transom.graph.model import Platform
from transom.graph.platforms import compatible, normalize, parse_platform
from transom_images.manifests import Entry, Index, choose


def index(*platforms: str) -> Index:
    """An index whose manifest number N has the size N."""
    return Index(
        "",
        tuple(
            Entry(Descriptor("", Digest.of(b""), size), Platform(*name.split("/")) if name else None)
            for size, name in enumerate(platforms)
        ),
    )


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/x86_64", Platform("linux", "amd64")),
        ("linux/arm64", Platform("linux", "arm64", "v8")),
        ("linux/aarch64/8", Platform("linux", "arm64", "v8")),
        ("linux/arm", Platform("linux", "arm", "v7")),
        ("linux/arm/v6", Platform("linux", "arm", "v6")),
        ("linux/armel", Platform("linux", "arm", "v6")),
        ("linux/amd64/v1", Platform("linux", "amd64")),
        ("Linux/AMD64", Platform("linux", "amd64")),
        ("arm64", Platform("linux", "arm64", "v8")),
    ],
)
def test_a_platform_is_read_as_go_names_it(text: str, platform: Platform) -> None:
    assert parse_platform(text) == platform


def test_a_system_alone_means_this_machines_architecture() -> None:
    assert parse_platform("linux") == normalize(Platform.here())


@pytest.mark.parametrize("text", ["", "/", "linux/", "a/b/c/d", "linux amd64", "toaster", "linux/amd64\n"])
def test_a_bad_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="invalid platform"):
        parse_platform(text)


@given(st.text(max_size=30))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        platform = parse_platform(text)
    except TransomError:
        return
    assert parse_platform(str(platform)) == platform


def test_the_exact_platform_is_preferred_to_what_also_runs() -> None:
    assert choose(index("linux/386", "linux/amd64", "linux/amd64/v2"), Platform("linux", "amd64")).size == 1
    assert choose(index("linux/arm/v5", "linux/arm/v7", "linux/arm/v6"), Platform("linux", "arm", "v7")).size == 1


def test_what_also_runs_is_chosen_when_there_is_nothing_better() -> None:
    assert choose(index("linux/arm64", "linux/386"), Platform("linux", "amd64")).size == 1
    assert choose(index("linux/arm/v6", "linux/arm/v7"), Platform("linux", "arm64")).size == 1
    assert choose(index("linux/amd64", "linux/amd64/v2"), Platform("linux", "amd64", "v3")).size == 1


def test_a_manifest_without_platform_is_the_last_choice() -> None:
    assert choose(index("", "linux/arm64/v8"), Platform("linux", "arm64")).size == 1
    assert choose(index("", "linux/s390x"), Platform("linux", "arm64")).size == 0


def test_an_attestation_is_never_chosen() -> None:
    with pytest.raises(NotFound):
        choose(index("unknown/unknown"), Platform("linux", "amd64"))


def test_an_index_without_the_platform_is_refused_in_dockers_words() -> None:
    with pytest.raises(NotFound, match=r"^no matching manifest for linux/arm64/v8 in the manifest list entries$"):
        choose(index("linux/amd64", "windows/arm64"), Platform("linux", "arm64"))


def test_newer_variants_do_not_run_on_older_processors() -> None:
    assert Platform("linux", "amd64", "v2") not in compatible(Platform("linux", "amd64"))
    assert Platform("linux", "arm", "v7") not in compatible(Platform("linux", "arm", "v6"))
