"""What graph drivers must stand: `GraphEnduranceSuite`, which is all of `GraphDriverSuite` and more.

Depth, breadth, names of any bytes, edits that nobody thought of, many at once, and a kill at any step.
"""

from __future__ import annotations

import io
import itertools
import os
import random
import shutil
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from transom.drivers.graph import Change, ChangeKind, GraphDriver
from transom.errors import Conflict
from transom.testing.archives import directory, file, hard_link, layer_archive, symlink, whiteout
from transom.testing.comparing import difference
from transom.testing.graph import GraphDriverSuite
from transom.testing.interruption import count_steps, kill_at_step, spread
from transom.testing.trees import mounts_below

__all__ = ["GraphEnduranceSuite"]

_DEPTHS = (1, 2, 3, 19, 20, 21, 48)
_BREADTH = 1000
#: At how many steps each work is killed.
_KILLS = 8

#: The fixture's driver serves all examples, each of which has names of its own. The same ones are tried every time.
_EXAMPLES = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    # An example is small as it is, and looking for a smaller one takes minutes where layers are copied.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        # One suite is run for several drivers.
        HealthCheck.differing_executors,
    ],
)

_NAMES = st.binary(min_size=1, max_size=40).filter(
    lambda name: not set(b"/\0") & set(name) and name not in (b".", b"..") and not name.startswith(b".wh.")
)
#: One edit of a tree: what is done, where (by number among the paths that there are), and with what content.
_EDITS = st.tuples(
    st.sampled_from(
        ("write", "append", "mode", "directory", "link", "hard link", "move", "delete", "replace", "attribute", "fifo")
    ),
    st.integers(0, 1 << 16),
    st.binary(max_size=8),
)


class GraphEnduranceSuite(GraphDriverSuite):
    """Tests that every graph driver passes; a subclass is as one of `GraphDriverSuite`."""

    # Depth and breadth

    def test_chains_of_any_length_show_all_their_layers(self, driver: GraphDriver) -> None:
        layers = [f"{number:064x}" for number in range(max(_DEPTHS))]
        for number, layer in enumerate(layers):
            self.make(
                driver,
                layer,
                layers[number - 1] if number else None,
                file(f"f{number}"),
                file("newest", b"%d" % number),
            )
        for depth in _DEPTHS:
            with driver.mounted(layers[depth - 1], read_only=True) as path:
                assert len(list(path.iterdir())) == depth + 1
                assert (path / "newest").read_text() == str(depth - 1)

    def test_a_directory_may_have_thousands_of_entries(self, driver: GraphDriver) -> None:
        members = [file(f"many/{number}") for number in range(_BREADTH)]
        self.make(driver, "parent", None, directory("many"), *members)
        self.make(driver, "child", "parent", whiteout("many/7"), file("many/new"))
        with driver.mounted("child") as path:
            assert len(list((path / "many").iterdir())) == _BREADTH
            assert not (path / "many" / "7").exists()
        assert driver.changes("child") == [
            Change(b"/many", ChangeKind.MODIFIED),
            Change(b"/many/7", ChangeKind.DELETED),
            Change(b"/many/new", ChangeKind.ADDED),
        ]

    def test_a_path_may_be_as_long_as_the_kernel_takes(self, driver: GraphDriver) -> None:
        name = "d" * 200
        paths = ["/".join([name] * depth) for depth in range(1, 17)]
        self.make(driver, "parent", None, *(directory(path) for path in paths), file(f"{paths[-1]}/file", b"deep"))
        driver.create("child", "parent")
        with driver.mounted("child") as path:
            assert (path / paths[-1] / "file").read_bytes() == b"deep"
            (path / paths[-1] / "file").write_bytes(b"deeper")
        assert [change.path for change in driver.changes("child")][-1] == f"/{paths[-1]}/file".encode()

    # What nobody thought of

    @_EXAMPLES
    @given(names=st.lists(_NAMES, min_size=1, max_size=5, unique=True), data=st.data())
    def test_names_of_any_bytes_are_kept_and_changed(
        self, driver: GraphDriver, names: list[bytes], data: st.DataObject
    ) -> None:
        numbers = next(_NUMBERS)
        parent, child, copy = (f"{kind}-{numbers}" for kind in ("parent", "child", "copy"))
        above = data.draw(st.sampled_from(names))
        inner = [above + b"/" + name for name in names]
        others = [name for name in names if name != above]
        self.make(
            driver,
            parent,
            None,
            directory(above),
            *(file(name, name) for name in inner),
            *(file(name) for name in others),
        )
        assert self.names(driver, parent) == {*names, *inner}
        driver.create(child, parent)
        gone = data.draw(st.sampled_from(inner))
        with driver.mounted(child) as path:
            (path / os.fsdecode(gone)).unlink()
        assert Change(b"/" + gone, ChangeKind.DELETED) in driver.changes(child)
        self.check_copy(driver, child, copy)
        for layer in (copy, child, parent):
            driver.remove(layer)

    @_EXAMPLES
    @given(first=st.lists(_EDITS, max_size=12), second=st.lists(_EDITS, min_size=1, max_size=12))
    def test_the_diff_of_any_edits_makes_the_same_layer_again(
        self,
        driver: GraphDriver,
        first: list[tuple[str, int, bytes]],
        second: list[tuple[str, int, bytes]],
    ) -> None:
        numbers = next(_NUMBERS)
        parent, child, copy = (f"{kind}-{numbers}" for kind in ("parent", "child", "copy"))
        self.make(
            driver,
            parent,
            None,
            directory("d"),
            file("d/f", b"content"),
            hard_link("d/g", "d/f"),
            symlink("l", "d/f"),
            directory("d/e"),
            file("d/e/h", b"more"),
        )
        with driver.mounted(parent) as path:
            self.edit(path, first)
        driver.create(child, parent)
        before = self.tree(driver, parent)
        with driver.mounted(child) as path:
            self.edit(path, second)
        assert self.tree(driver, parent) == before
        self.check_copy(driver, child, copy)
        changed = {change.path[1:]: change.kind for change in driver.changes(child)}
        after = self.tree(driver, child)
        assert {name for name, kind in changed.items() if kind is ChangeKind.ADDED} == set(after) - set(before)
        # What was in a directory that is gone, or is something else now, went with it.
        directories = {name for name in set(before) & set(after) if before[name].kind == after[name].kind == "d"}
        assert {name for name in set(before) - set(after) if name.rpartition(b"/")[0] in directories} <= {
            name for name, kind in changed.items() if kind is ChangeKind.DELETED
        }
        for layer in (copy, child, parent):
            driver.remove(layer)

    def check_copy(self, driver: GraphDriver, layer: str, copy: str) -> None:
        """Make a layer from the diff of another, and compare them."""
        archive = b"".join(driver.diff(layer))
        driver.create(copy, driver.parent(layer))
        driver.apply(copy, io.BytesIO(archive))
        assert self.tree(driver, copy) == self.tree(driver, layer)
        assert driver.changes(copy) == driver.changes(layer)
        assert difference(b"".join(driver.diff(copy)), archive) is None

    def edit(self, root: Path, edits: list[tuple[str, int, bytes]]) -> None:
        """Change a tree as edits say; one that cannot be done where it falls is left out."""
        for action, place, content in edits:
            paths = sorted(path for path in root.rglob("*"))
            path = paths[place % len(paths)] if paths else root
            above = path if path.is_dir() and not path.is_symlink() else path.parent
            # Never what is there: opening a pipe would wait for somebody at its other end.
            new = next(new for number in itertools.count() if not os.path.lexists(new := above / f"new{number}"))
            with suppress(OSError):
                _ACTIONS[action](path, new, content)

    # Order, and again and again

    def test_layers_are_removed_in_any_order_that_has_children_first(self, driver: GraphDriver) -> None:
        parents = {"a": None, "b": "a", "c": "a", "d": "b", "e": "b", "f": "c"}
        order = random.Random(7)
        before = set(driver.root.rglob("*"))
        for _ in range(2):
            left = dict(parents)
            for layer, parent in parents.items():
                self.make(driver, layer, parent, file(layer))
            while left:
                layer = order.choice([name for name in left if name not in left.values()])
                driver.remove(layer)
                del left[layer]
                for other in left:
                    assert other.encode() in self.names(driver, other)
        driver.recover(())
        assert {path for path in driver.root.rglob("*") if path.name[0] != "."} == before

    def test_a_recovery_removes_parents_and_children_together(self, driver: GraphDriver) -> None:
        layers = [f"layer-{number}" for number in range(20)]
        for number, layer in enumerate(layers):
            self.make(driver, layer, layers[number - 1] if number else None, file(layer))
        driver.mount(layers[-1])
        again = self.reopened(driver)
        again.recover(layers[:10])
        assert len(self.names(again, layers[9])) == 10
        again.recover(())
        assert mounts_below(driver.mounts) == []

    def test_a_layer_is_not_made_twice(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, file("file", b"first"))
        before = self.tree(driver, "parent")
        with pytest.raises(Conflict, match="parent"):
            driver.create("parent", None)
        assert self.tree(driver, "parent") == before

    def test_unmounting_and_removing_again_is_harmless(self, driver: GraphDriver) -> None:
        self.make(driver, "one", None, file("file"))
        for _ in range(3):
            assert (driver.mount("one") / "file").exists()
        for _ in range(3):
            driver.unmount("one")
        assert mounts_below(driver.mounts) == []
        for _ in range(3):
            driver.remove("one")

    # Many at once

    def test_a_parent_that_is_mounted_and_read_serves_children_that_come_and_go(self, driver: GraphDriver) -> None:
        self.make(driver, "parent", None, *(file(f"file-{number}", b"shared") for number in range(50)))
        before = self.tree(driver, "parent")

        def live(number: int) -> bool:
            layer = f"child-{number}"
            driver.create(layer, "parent")
            with driver.mounted(layer) as path:
                for name in range(50):
                    (path / f"file-{name}").write_bytes(layer.encode())
                (path / "file-0").unlink()
                same = all((path / f"file-{name}").read_bytes() == layer.encode() for name in range(1, 50))
            driver.remove(layer)
            return same

        path = driver.mount("parent", read_only=True)
        with ThreadPoolExecutor(6) as pool:
            lives = pool.map(live, range(18))
            read = [(path / f"file-{number % 50}").read_bytes() for number in range(500)]
            assert all(lives)
        assert set(read) == {b"shared"}
        driver.unmount("parent")
        assert self.tree(driver, "parent") == before

    # A kill at any step

    @pytest.mark.parametrize("work", ["create", "apply", "mount", "remove"])
    def test_a_kill_at_any_step_leaves_what_recovery_removes(self, driver: GraphDriver, work: str) -> None:
        self.make(driver, "parent", None, file("file"), directory("d"), file("d/inside"))
        driver.mount("parent")
        driver.unmount("parent")
        before, tree = set(driver.root.rglob("*")), self.tree(driver, "parent")

        def prepare(again: GraphDriver) -> None:
            if work != "create":
                again.create("half", "parent")
            if work in ("mount", "remove"):
                again.apply("half", self.archive())

        def act(again: GraphDriver) -> None:
            match work:
                case "create":
                    again.create("half", "parent")
                case "apply":
                    again.apply("half", self.archive())
                case "mount":
                    with again.mounted("half") as path:
                        (path / "file").write_text("changed")
                case _:
                    again.remove("half")

        def fresh() -> GraphDriver:
            return self.reopened(driver)

        prepare(fresh())
        steps = count_steps(lambda: act(fresh()))
        for number, step in enumerate(spread(steps, _KILLS)):
            fresh().remove("half")
            prepare(fresh())
            kill_at_step(step, lambda: act(fresh()))
            again = fresh()
            if number % 2:
                again.recover({"parent"})
            else:
                again.unmount("half")
                again.remove("half")
                again.recover({"parent"})
            assert set(driver.root.rglob("*")) == before, f"killed at step {step} of {steps}"
            assert mounts_below(driver.mounts) == []
            assert self.tree(again, "parent") == tree
        self.make(driver, "half", "parent", file("whole"))
        assert b"whole" in self.names(driver, "half")

    def archive(self) -> io.BytesIO:
        """Return an archive that makes, replaces and deletes."""
        members = (directory("d"), file("d/new", b"new"), whiteout("d/inside"), file("file", b"replaced"))
        return io.BytesIO(layer_archive(*members).read())


#: Tells the layers of examples apart.
_NUMBERS = itertools.count()


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _replace(path: Path, _new: Path, content: bytes) -> None:
    was_directory = path.is_dir() and not path.is_symlink()
    _delete(path)
    if was_directory and len(content) % 2:
        path.write_bytes(content)
    else:
        path.mkdir()
        (path / "inside").write_bytes(content)


def _append(path: Path, _new: Path, content: bytes) -> None:
    if path.is_file():  # a pipe would wait for a reader
        with open(path, "ab") as opened:
            opened.write(content + b"+")


#: What an edit does to a path, with a new one beside it, and some content.
_ACTIONS: dict[str, Callable[[Path, Path, bytes], object]] = {
    "write": lambda _path, new, content: new.write_bytes(content),
    "append": _append,
    "mode": lambda path, _new, content: path.chmod(0o700 + len(content)) if not path.is_symlink() else None,
    "directory": lambda _path, new, _content: new.mkdir(),
    "link": lambda path, new, _content: new.symlink_to(path.name),
    "hard link": lambda path, new, _content: os.link(path, new, follow_symlinks=False),
    "move": lambda path, new, _content: path.rename(new),
    "delete": lambda path, _new, _content: _delete(path),
    "replace": _replace,
    "attribute": lambda path, _new, content: (
        os.setxattr(path, "user.edit", content) if stat.S_ISREG(path.lstat().st_mode) else None
    ),
    "fifo": lambda _path, new, _content: os.mkfifo(new),
}
