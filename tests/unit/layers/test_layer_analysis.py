"""What the layers of an image hold and waste, and what is said of it."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from transom.errors import CorruptContent, NotFound
from transom.graph.archive import Kind
from transom.graph.content import ContentStore
from transom.graph.digest import Digest
from transom.graph.extract import extract
from transom.graph.layer_report import LayerReport, NodeKind, TreeNode
from transom.graph.model import History, Image, Platform
from transom.testing.archives import (
    Member,
    directory,
    fifo,
    file,
    hard_link,
    layer_archive,
    opaque,
    pack,
    symlink,
    whiteout,
)
from transom_layers import tree as tree_module
from transom_layers.analysis import analyse
from transom_layers.steps import instruction
from transom_layers.tree import Node

Layers = Sequence[Sequence[Member]]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> ContentStore:
    return ContentStore(tmp_path_factory.mktemp("content"))


def report(
    content: ContentStore, *layers: Sequence[Member], steps: Sequence[str] = (), nodes: int = 1000, offenders: int = 100
) -> LayerReport:
    """Return what is said of an image of these layers; a step that begins with `#` makes none."""
    archives = [pack(layer) for layer in layers]
    digests = tuple(content.put(archive) for archive in archives)
    history = tuple(History(created_by=step.removeprefix("#"), empty_layer=step.startswith("#")) for step in steps)
    image = Image(Digest.of(b""), Platform.here(), diff_ids=digests, blobs=digests, history=history)
    return analyse(image, content, lambda: None, offenders, nodes)


def counts(found: LayerReport) -> list[tuple[int, int, int, int, int]]:
    """Return files added, changed and deleted, bytes and wasted bytes of each layer."""
    shares = [layer.share for layer in found.layers]
    return [(share.added, share.changed, share.deleted, share.size, share.wasted) for share in shares]


def offenders(found: LayerReport) -> dict[bytes, list[tuple[int, int, int]]]:
    """Return the versions of what wastes by path: layer, bytes, layer that hides it."""
    return {
        offender.path: [(version.layer, version.size, version.hidden_by) for version in offender.versions]
        for offender in found.offenders
    }


# What is counted


def test_a_file_that_is_deleted_later_is_wasted(content: ContentStore) -> None:
    found = report(content, [file("a", b"1234"), file("b", b"12")], [whiteout("a")])
    assert counts(found) == [(2, 0, 0, 6, 4), (0, 0, 1, 0, 0)]
    assert offenders(found) == {b"/a": [(1, 4, 2)]}
    assert (found.size, found.visible, found.wasted) == (6, 2, 4)
    assert found.layers[1].hides == 4
    assert found.efficiency == pytest.approx(100 * 2 / 6)


def test_a_file_that_is_written_again_wastes_each_version_but_the_last(content: ContentStore) -> None:
    found = report(content, [file("a", b"1")], [file("a", b"22")], [file("a", b"333")])
    assert counts(found) == [(1, 0, 0, 1, 1), (0, 1, 0, 2, 2), (0, 1, 0, 3, 0)]
    assert offenders(found) == {b"/a": [(1, 1, 2), (2, 2, 3)]}


def test_a_directory_that_is_deleted_as_a_whole_is_one_offender(content: ContentStore) -> None:
    found = report(
        content, [directory("d"), file("d/a", b"1"), file("d/e/b", b"22"), symlink("d/l", "abc")], [whiteout("d")]
    )
    assert counts(found) == [(3, 0, 0, 6, 6), (0, 0, 3, 0, 0)]
    assert offenders(found) == {b"/d/": [(1, 6, 2)]}
    assert (found.layers[1].whiteouts, found.layers[1].opaque) == (1, 0)


def test_an_opaque_directory_hides_what_is_below_and_not_what_is_in_its_layer(content: ContentStore) -> None:
    found = report(content, [file("d/a", b"1"), file("d/b", b"22")], [directory("d"), file("d/b", b"333"), opaque("d")])
    assert counts(found) == [(2, 0, 0, 3, 3), (0, 1, 1, 3, 0)]
    assert (found.layers[1].whiteouts, found.layers[1].opaque) == (0, 1)
    assert found.visible == 3


def test_a_file_with_two_names_counts_once_and_is_there_until_both_are_gone(content: ContentStore) -> None:
    lower = [file("a", b"1234"), hard_link("b", "a")]
    assert counts(report(content, lower, [whiteout("a")])) == [(2, 0, 0, 4, 0), (0, 0, 1, 0, 0)]
    both = report(content, lower, [whiteout("a")], [whiteout("b")])
    assert [layer.share.wasted for layer in both.layers] == [4, 0, 0]
    assert offenders(both) == {b"/a": [(1, 4, 3)]}


def test_a_file_that_makes_way_for_a_directory_and_back_is_counted(content: ContentStore) -> None:
    found = report(content, [file("a", b"1")], [directory("a"), file("a/b", b"22")], [file("a", b"333")])
    assert counts(found) == [(1, 0, 0, 1, 1), (1, 0, 1, 2, 2), (1, 0, 1, 3, 0)]
    assert offenders(found) == {b"/a": [(1, 1, 2)], b"/a/": [(2, 2, 3)]}


def test_names_lead_through_symbolic_links_of_lower_layers(content: ContentStore) -> None:
    found = report(
        content, [file("usr/lib/x", b"1"), symlink("lib", "usr/lib")], [file("lib/x", b"22")], [whiteout("lib/x")]
    )
    assert offenders(found) == {b"/usr/lib/x": [(1, 1, 2), (2, 2, 3)]}


def test_what_is_stored_twice_in_one_layer_is_wasted_too(content: ContentStore) -> None:
    found = report(content, [file("a", b"1"), file("a", b"22")])
    assert counts(found) == [(1, 0, 0, 3, 1)]
    assert offenders(found) == {b"/a": [(1, 1, 1)]}
    assert found.layers[0].hides == 0


def test_names_have_any_bytes(content: ContentStore) -> None:
    name = b"\xff\n\x1b[31m"
    assert offenders(report(content, [file(name, b"1")], [whiteout(name)])) == {b"/" + name: [(1, 1, 2)]}


def test_an_image_without_bytes_is_efficient(content: ContentStore) -> None:
    assert report(content).efficiency == 100
    assert report(content, [directory("a"), fifo("a/b")]).efficiency == 100


@pytest.mark.parametrize(
    "members",
    [
        [hard_link("a", "missing")],
        [file("../a")],
        [symlink("a", "a"), file("a/b")],
        [file("a/.wh..")],
    ],
)
def test_what_cannot_be_is_refused(content: ContentStore, members: list[Member]) -> None:
    with pytest.raises(CorruptContent):
        report(content, members)


def test_a_blob_that_has_changed_on_the_disk_is_refused(content: ContentStore) -> None:
    blob, other = content.put(pack([file("a", b"1")])), Digest.of(b"other")
    image = Image(Digest.of(b""), Platform.here(), diff_ids=(other,), blobs=(blob,))
    with pytest.raises(CorruptContent, match="digest"):
        analyse(image, content, lambda: None, 0, 0)
    with pytest.raises(NotFound):
        analyse(Image(image.id, image.platform, diff_ids=(other,), blobs=(other,)), content, lambda: None, 0, 0)


# Against what unpacking makes of the same archives

_NAMES = st.sampled_from(["a", "b", "c"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_OWNER = {"uid": os.getuid(), "gid": os.getgid()}
_MEMBERS = st.one_of(
    st.builds(lambda path, content: file(path, content, **_OWNER), _PATHS, st.binary(max_size=6)),
    st.builds(lambda path: directory(path, **_OWNER), _PATHS),
    st.builds(
        lambda path, target: symlink(path, target, **_OWNER), _PATHS, st.sampled_from(["a", "/b", "../c", "b/c"])
    ),
    st.builds(hard_link, _PATHS, _PATHS),
    st.builds(whiteout, _PATHS),
    st.builds(opaque, _PATHS),
)


def _on_disk(root: Path) -> tuple[int, set[bytes]]:
    """Return the bytes of files and links below a directory, each file once, and the paths of what is no directory."""
    sizes: dict[int, int] = {}
    paths = set()
    for path in root.rglob("*"):
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            sizes[status.st_ino] = status.st_size
            paths.add(os.fsencode(path.relative_to(root)))
    return sum(sizes.values()), paths


def _visible(root: Node) -> set[bytes]:
    return {node.path for node in root.walk() if node.kind not in (None, Kind.DIRECTORY)}


@given(st.lists(st.lists(_MEMBERS, max_size=8), min_size=1, max_size=5))
def test_what_is_seen_and_what_is_wasted_are_all_there_is(content: ContentStore, layers: list[list[Member]]) -> None:
    built: list[tree_module.Tree] = []
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        root = Path(directory)
        try:
            for layer in layers:
                extract(layer_archive(*layer), root)
        except CorruptContent:
            assume(False)
        patch.setattr("transom_layers.analysis.Tree", lambda: built.append(tree_module.Tree()) or built[0])
        found = report(content, *layers)
        size, paths = _on_disk(root)
    assert found.visible == size
    assert _visible(built[0].root) == paths
    stored = sum(len(member.content) + len(member.link) * (member.type == b"2") for layer in layers for member in layer)
    assert found.size == stored
    assert found.visible + sum(offender.size for offender in found.offenders) == stored
    assert sum(layer.share.added - layer.share.deleted for layer in found.layers) == len(paths)
    assert sum(layer.share.wasted for layer in found.layers) == found.wasted


# The tree


@pytest.fixture
def many() -> Layers:
    lower = [file(f"d{number}/f{each}", b"x" * (number * 10 + each)) for number in range(5) for each in range(5)]
    return [lower, [whiteout("d4"), file("d3/f0", b"new")]]


def _sums(nodes: Sequence[TreeNode], parent: int) -> dict[int, list[int]]:
    sums: dict[int, list[int]] = {}
    for node in nodes:
        if node.parent == parent:
            for share in node.shares:
                total = sums.setdefault(share.layer, [0] * 5)
                for index, number in enumerate((share.added, share.changed, share.deleted, share.size, share.wasted)):
                    total[index] += number
    return sums


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 7, 12, 31, 1000])
def test_a_tree_of_any_size_has_the_sums_of_the_whole(content: ContentStore, many: Layers, limit: int) -> None:
    tree = report(content, *many, nodes=limit).tree
    assert len(tree) == min(limit, 31)
    for index, node in enumerate(tree):
        assert node.parent < index
        if node.kind is NodeKind.DIRECTORY and not node.closed:
            assert _sums(tree, index) == _sums([TreeNode(b"", 0, node.kind, node.shares)], 0)
    places = [(node.parent, node.name) for node in tree if node.kind is not NodeKind.REST]
    assert len(set(places)) == len(places)


def test_a_small_tree_has_what_is_largest(content: ContentStore, many: Layers) -> None:
    names = [node.name for node in report(content, *many, nodes=4).tree]
    assert names == [b"", b"d4", b"d3", b""]


# Steps and advice


@pytest.mark.parametrize(
    ("created_by", "said"),
    [
        ('/bin/sh -c #(nop)  CMD ["bash"]', 'CMD ["bash"]'),
        ("/bin/sh -c apt-get update", "RUN apt-get update"),
        ("|1 VERSION=3 /bin/sh -c make $VERSION", "RUN make $VERSION"),
        ("RUN |1 VERSION=3 /bin/sh -c make $VERSION # buildkit", "RUN make $VERSION"),
        ("RUN /bin/sh -c a &&     b # buildkit", "RUN a && b"),
        ("COPY . . # buildkit", "COPY . ."),
        ("ENV A=b", "ENV A=b"),
        ("", ""),
    ],
)
def test_an_instruction_is_what_the_dockerfile_said(created_by: str, said: str) -> None:
    assert instruction(created_by) == said


def test_steps_have_their_layers_and_layers_without_a_step_their_own(content: ContentStore) -> None:
    found = report(content, [file("a")], [file("b")], [file("c")], steps=["ADD a", "#ENV B=c", "COPY b"])
    assert [(step.instruction, step.layer and step.layer.number) for step in found.steps] == [
        ("ADD a", 1),
        ("ENV B=c", None),
        ("COPY b", 2),
        ("", 3),
    ]


BIG = b"x" * 1000


@pytest.fixture
def advised(content: ContentStore) -> Iterator[Any]:
    """Return the kinds, layers and bytes of the advice on an image, given its layers and their instructions."""

    def advise(*layers: tuple[str, Sequence[Member]]) -> list[tuple[str, int, int]]:
        found = report(content, *(members for _, members in layers), steps=[step for step, _ in layers])
        return [(advice.kind, advice.layer, advice.size) for advice in found.advice]

    return advise


@pytest.mark.parametrize(
    ("step", "path", "kind"),
    [
        ("RUN apt-get update", "var/lib/apt/lists/debian_Packages.lz4", "package-lists"),
        ("RUN apt-get update", "var/cache/apt/pkgcache.bin", "package-cache"),
        ("RUN apk add git", "var/cache/apk/APKINDEX.tar.gz", "package-cache"),
        ("RUN dnf install git", "var/cache/dnf/packages/x.rpm", "package-cache"),
        ("RUN pip install x", "root/.cache/pip/http/a", "pip-cache"),
        ("RUN npm ci", "root/.npm/_cacache/a", "npm-cache"),
        ("RUN go build", "root/.cache/go-build/a", "build-cache"),
        ("COPY . .", "app/.git/objects/a", "version-control"),
        ("COPY . .", "app/node_modules/a/b.js", "node-modules"),
    ],
)
def test_what_is_left_over_is_named_with_its_layer_and_bytes(advised: Any, step: str, path: str, kind: str) -> None:
    assert advised(("ADD base", [file("a", b"y")]), (step, [file(path, BIG)])) == [(kind, 2, 1000)]


@pytest.mark.parametrize(
    ("step", "path"), [("RUN git clone x", "src/.git/objects/a"), ("RUN npm ci", "app/node_modules/a/b.js")]
)
def test_what_a_command_made_is_not_taken_for_copied(advised: Any, step: str, path: str) -> None:
    assert advised((step, [file(path, BIG)])) == []


@pytest.mark.parametrize(
    ("lower", "step", "upper", "expected"),
    [
        (file("a", BIG), "RUN chown", file("a", BIG, uid=7), ("owner-changed", 2)),
        (file("a", BIG), "RUN chmod", file("a", BIG, mode=0o600), ("mode-changed", 2)),
        (file("a", BIG), "RUN touch", file("a", BIG, mtime=1), ("written-again", 2)),
        (file("a", BIG), "RUN echo", file("a", BIG + b"y"), ("replaced", 2)),
        (file("a", BIG), "RUN rm", whiteout("a"), ("deleted-later", 1)),
    ],
)
def test_what_is_hidden_is_explained(
    advised: Any, lower: Member, step: str, upper: Member, expected: tuple[str, int]
) -> None:
    assert advised(("COPY a a", [lower]), (step, [upper])) == [(*expected, 1000)]


def test_what_is_moved_is_not_called_deleted(advised: Any) -> None:
    layers = [("COPY a a", [file("a", BIG)]), ("RUN mv a b", [whiteout("a"), file("b", BIG)])]
    assert advised(*layers) == [("moved", 2, 1000)]


def test_what_is_deleted_is_of_the_layer_that_brought_it_whoever_owns_it_meanwhile(content: ContentStore) -> None:
    found = report(
        content,
        [file("base", b"y")],
        [file("a", BIG)],
        [file("a", BIG, uid=7)],
        [whiteout("a")],
        steps=["ADD base", "COPY a /", "RUN chown", "RUN rm a"],
    )
    assert [(advice.kind, advice.layer, advice.size) for advice in found.advice] == [
        ("deleted-later", 2, 1000),
        ("owner-changed", 3, 1000),
    ]
    assert "by .dockerignore" in found.advice[0].text


def test_records_of_packages_that_are_written_again_are_said_where_that_can_be_helped(advised: Any) -> None:
    layers = [
        (step, [file("var/lib/dpkg/status", BIG + step.encode())])
        for step in ("ADD base", "RUN apt-get install a", "RUN apt-get install b")
    ]
    assert advised(*layers) == [("package-records", 3, len(BIG) + len(layers[1][0]))]


def test_package_lists_that_a_later_layer_deletes_are_one_advice(content: ContentStore) -> None:
    found = report(
        content,
        [file("var/lib/apt/lists/a", BIG)],
        [whiteout("var/lib/apt/lists/a")],
        steps=["RUN apt-get update", "RUN rm -rf /var/lib/apt/lists/*"],
    )
    (advice,) = found.advice
    assert (advice.kind, advice.layer, advice.size) == ("package-lists", 1, 1000)
    assert advice.paths == (b"/var/lib/apt/lists/a",)
    assert "layer 2 hides them" in advice.text


def test_upgrades_are_told_from_other_replacements(content: ContentStore) -> None:
    found = report(
        content,
        [file("lib/a", BIG)],
        [file("lib/a", BIG + b"y")],
        steps=["ADD base", "RUN apt-get update && apt-get -y dist-upgrade"],
    )
    assert [advice.text for advice in found.advice] == [
        "layer 2 upgrades packages of layer 1: begin with a newer image"
    ]


def test_trifles_are_not_worth_advice(advised: Any) -> None:
    assert advised(("ADD a", [file("a", b"1"), file("b", BIG)]), ("RUN rm a", [whiteout("a")])) == []


def test_an_image_of_too_many_files_is_refused(content: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "_MOST_ENTRIES", 3)
    with pytest.raises(Exception, match="more than 3 entries"):
        report(content, [file("a"), file("b")], [file("c"), file("d")])
