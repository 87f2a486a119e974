"""References follow Docker's rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transom.errors import InvalidParameter
from transom.graph.digest import Digest
from transom.graph.reference import Reference

HEX = "f" * 64
DIGEST = f"sha256:{HEX}"

label = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?", fullmatch=True)
port = st.one_of(st.just(""), st.integers(1, 65535).map(lambda number: f":{number}"))
domain = st.one_of(
    st.just("docker.io"),
    st.builds(lambda labels, port: ".".join(labels) + port, st.lists(label, min_size=2, max_size=4), port),
    st.builds(lambda label, number: f"{label}:{number}", label, st.integers(1, 65535)),
    st.just("localhost"),
    st.just("[2001:db8::1]:5000"),
)
component = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}", fullmatch=True)
tag = st.one_of(st.none(), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True))
digest = st.one_of(
    st.none(),
    st.binary(max_size=8).map(Digest.of),
    st.from_regex(r"sha512:[0-9a-f]{128}", fullmatch=True).map(Digest),
)


@st.composite
def references(draw: st.DrawFn) -> Reference:
    host = draw(domain)
    path = "/".join(draw(st.lists(component, min_size=1, max_size=4)))
    if host == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return Reference(host, path, draw(tag), draw(digest))


@given(references())
def test_the_canonical_form_is_read_back_as_the_same_reference(reference: Reference) -> None:
    assert Reference.parse(str(reference)) == reference


@given(references())
def test_the_familiar_form_is_read_back_as_the_same_reference(reference: Reference) -> None:
    assert Reference.parse(reference.familiar) == reference


@given(st.text(alphabet=st.sampled_from("aZ09._-:/@[]sha256f \n\0é"), max_size=40))
def test_any_text_is_a_reference_or_invalid(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidParameter:
        return
    assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("library/busybox", "docker.io/library/busybox", "busybox"),
        ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
        ("index.docker.io/user/app", "docker.io/user/app", "user/app"),
        ("user/app", "docker.io/user/app", "user/app"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("test.com:tag", "docker.io/library/test.com:tag", "test.com:tag"),
        ("127.0.0.1:5000/busybox", "127.0.0.1:5000/busybox", "127.0.0.1:5000/busybox"),
        ("[::1]:5000/repo:x", "[::1]:5000/repo:x", "[::1]:5000/repo:x"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}", f"app@{DIGEST}"),
        (f"app:v1@{DIGEST}", f"docker.io/library/app:v1@{DIGEST}", f"app:v1@{DIGEST}"),
        ("docker.io/foo.bar/baz", "docker.io/foo.bar/baz", "docker.io/foo.bar/baz"),
    ],
)
def test_what_users_write_gets_the_defaults_of_docker(text: str, canonical: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert (str(reference), reference.familiar) == (canonical, familiar)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":tag",
        f"@{DIGEST}",
        "a//b",
        "a/",
        "/a",
        "-a",
        "a..b",
        "a___b",
        "app:",
        "app:-x",
        "app:" + "x" * 129,
        "app@sha256:abc",
        f"app@md5:{'a' * 32}",
        f"app@sha256:{HEX.upper()}",
        "app\n",
        "aa/asdf$$^/aa",
        "[fe80::1%eth0]:5000/repo",
        "host.example/" + "a/" * 125 + "a",
        HEX,
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="invalid"):
        Reference.parse(text)


@pytest.mark.parametrize("text", ["Busybox", "host:5000/App", "user/App:tag"])
def test_upper_case_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(InvalidParameter, match="must be lowercase"):
        Reference.parse(text)


def test_the_longest_name_is_taken() -> None:
    assert len(Reference.parse("a.io/" + "a" * 250).name) == 255
    with pytest.raises(InvalidParameter, match="255"):
        Reference.parse("a.io/" + "a" * 251)


def test_latest_is_the_tag_of_a_reference_that_has_neither_tag_nor_digest() -> None:
    assert Reference.parse("busybox").tagged().familiar == "busybox:latest"
    assert Reference.parse("busybox:1").tagged().tag == "1"
    assert Reference.parse(f"busybox@{DIGEST}").tagged().tag is None


def test_parts_are_replaced() -> None:
    reference = Reference.parse("busybox:1")
    assert reference.with_tag("2").familiar == "busybox:2"
    assert reference.with_digest(Digest(DIGEST)).without_tag().familiar == f"busybox@{DIGEST}"
    with pytest.raises(InvalidParameter, match="invalid tag format"):
        reference.with_tag("a b")
