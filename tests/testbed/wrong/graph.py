"""Graph drivers that are wrong."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, ClassVar

from transom.drivers.graph import Capabilities, Change, ChangeKind, Deviations, GraphDriver, Usage
from transom.errors import CorruptContent, NotFound
from transom.graph.archive import read_archive
from transom.graph.copy import copy_tree
from transom.runtime.syscalls.mounts import MS_BIND, mount, umount2
from transom_overlay.driver import OverlayDriver
from transom_vfs.driver import VfsDriver

__all__ = ["DRIVERS", "FILES"]


def without(archive: IO[bytes], unwanted: str) -> io.BytesIO:
    """Return an archive without the entries whose names have some text in their last part."""
    kept = io.BytesIO()
    with (
        tarfile.open(fileobj=archive, mode="r|", errors="surrogateescape") as read,
        tarfile.open(fileobj=kept, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as written,
    ):
        for entry in read:
            if unwanted not in entry.name.rpartition("/")[2]:
                written.addfile(entry, read.extractfile(entry) if entry.isreg() else None)
    kept.seek(0)
    return kept


class IgnoresWhiteouts(VfsDriver):
    noticed = "test_a_whiteout_removes_what_the_layers_below_have"

    def apply(self, layer: str, archive: IO[bytes]) -> int:
        return super().apply(layer, without(archive, ".wh."))


class IgnoresOpaqueDirectories(VfsDriver):
    noticed = "test_an_opaque_directory_hides_what_is_below_wherever_its_mark_stands[True]"

    def apply(self, layer: str, archive: IO[bytes]) -> int:
        return super().apply(layer, without(archive, ".wh..wh..opq"))


class SpoilsAttributes(VfsDriver):
    noticed = "test_extended_attributes_are_kept"

    def apply(self, layer: str, archive: IO[bytes]) -> int:
        size = super().apply(layer, archive)
        for path in (self.root / layer / "tree").rglob("*"):
            for name in os.listxattr(path, follow_symlinks=False):
                os.removexattr(path, name, follow_symlinks=False)
        return size


class RoundsTimes(VfsDriver):
    noticed = "test_times_keep_their_nanoseconds"

    def apply(self, layer: str, archive: IO[bytes]) -> int:
        size = super().apply(layer, archive)
        for path in (self.root / layer / "tree").rglob("*"):
            os.utime(path, (int(path.lstat().st_mtime),) * 2, follow_symlinks=False)
        return size


class GivesAllToRoot(VfsDriver):
    noticed = "test_files_are_as_the_archive_says"

    def apply(self, layer: str, archive: IO[bytes]) -> int:
        size = super().apply(layer, archive)
        for path in (self.root / layer / "tree").rglob("*"):
            os.chown(path, 0, 0, follow_symlinks=False)
        return size


class PartsHardLinks(VfsDriver):
    noticed = "test_hard_links_are_one_file"

    def apply(self, layer: str, archive: IO[bytes]) -> int:
        size = super().apply(layer, archive)
        for path in (self.root / layer / "tree").rglob("*"):
            if path.is_file() and path.stat().st_nlink > 1:
                shutil.copy2(path, self.root / layer / "apart")
                (self.root / layer / "apart").rename(path)
        return size


class BelievesArchives(VfsDriver):
    noticed = "test_nothing_outside_the_layer_is_touched[members6]"

    def apply(self, layer: str, archive: IO[bytes]) -> int:
        with tarfile.open(fileobj=archive, mode="r|") as read:
            read.extractall(self.root / layer / "tree", filter="fully_trusted")
        return 0


class SwallowsWhatIsNoArchive(VfsDriver):
    noticed = "test_what_is_no_archive_is_refused"

    def apply(self, layer: str, archive: IO[bytes]) -> int:
        try:
            return super().apply(layer, archive)
        except CorruptContent:
            return 0


class SwallowsTruncation(SwallowsWhatIsNoArchive):
    noticed = "test_a_truncated_archive_is_refused"


class DoesNotCount(VfsDriver):
    noticed = "test_apply_returns_the_bytes_of_files_and_links"

    def apply(self, layer: str, archive: IO[bytes]) -> int:
        super().apply(layer, archive)
        return 0


class MakesPrivateRoots(VfsDriver):
    noticed = "test_a_new_layer_is_an_empty_directory"

    def create(self, layer: str, parent: str | None) -> None:
        super().create(layer, parent)
        (self.root / layer / "tree").chmod(0o700)


class SharesFilesWithParents(VfsDriver):
    noticed = "test_what_a_child_changes_is_unchanged_in_its_parent"

    def create(self, layer: str, parent: str | None) -> None:
        super().create(layer, parent)
        if parent is not None:
            tree = self.root / layer / "tree"
            shutil.rmtree(tree)
            shutil.copytree(self.root / parent / "tree", tree, copy_function=os.link, symlinks=True)


class SharesTreesWithSiblings(VfsDriver):
    noticed = "test_siblings_do_not_see_each_other"

    def mount(self, layer: str, *, read_only: bool = False) -> Path:
        return super().mount(self.parent(layer) or layer, read_only=read_only)


class StacksMounts(VfsDriver):
    noticed = "test_a_mounted_layer_stays_as_it_is_when_it_is_mounted_again"

    def mount(self, layer: str, *, read_only: bool = False) -> Path:
        place = self.mounts / layer
        place.mkdir(exist_ok=True)
        mount(super().mount(layer, read_only=read_only), place, None, MS_BIND)
        return place

    def unmount(self, layer: str) -> None:
        if (self.mounts / layer).is_dir():
            umount2(self.mounts / layer)


class MountsCopies(VfsDriver):
    noticed = "test_what_is_written_is_there_after_the_next_mount"

    def mount(self, layer: str, *, read_only: bool = False) -> Path:
        copy = self.mounts / layer
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        copy_tree(super().mount(layer, read_only=read_only), copy)
        return copy


class MountsAnything(VfsDriver):
    noticed = "test_a_layer_that_does_not_exist_cannot_be_mounted"

    def mount(self, layer: str, *, read_only: bool = False) -> Path:
        return self.root / layer / "tree"


class UnmountsOnlyOnce(VfsDriver):
    noticed = "test_unmounting_what_is_not_mounted_is_harmless"

    def unmount(self, layer: str) -> None:
        raise NotFound(f"{layer} is not mounted")


class LeavesFilesBehind(VfsDriver):
    noticed = "test_a_removed_layer_leaves_nothing_behind"

    def remove(self, layer: str) -> None:
        if (self.root / layer).is_dir():
            (self.root / layer / "tree").rename(self.root / f".left-{layer}")
        super().remove(layer)


class RemovesOnlyWhatIsThere(VfsDriver):
    noticed = "test_removing_what_does_not_exist_is_harmless"

    def remove(self, layer: str) -> None:
        self._layers.path(layer)
        super().remove(layer)


class RemembersRemovedNames(VfsDriver):
    noticed = "test_a_removed_name_begins_anew"

    def remove(self, layer: str) -> None:
        if (self.root / layer).is_dir():
            shutil.copytree(self.root / layer / "tree", self.mounts / layer)
        super().remove(layer)

    def create(self, layer: str, parent: str | None) -> None:
        super().create(layer, parent)
        if (self.mounts / layer).is_dir():
            shutil.copytree(self.mounts / layer, self.root / layer / "tree", dirs_exist_ok=True)


class ForgetsParents(VfsDriver):
    noticed = "test_a_layer_remembers_its_parent"

    def __init__(self, root: Path, mounts: Path) -> None:
        super().__init__(root, mounts)
        self._parents: dict[str, str | None] = {}

    def create(self, layer: str, parent: str | None) -> None:
        super().create(layer, parent)
        self._parents[layer] = parent

    def parent(self, layer: str) -> str | None:
        return self._parents.get(layer)


class SaysThatLayersAreIndependent(VfsDriver):
    noticed = "test_a_layer_needs_its_parent_unless_the_driver_says_otherwise"
    capabilities: ClassVar[Capabilities] = Capabilities(independent_layers=True)


class TakesShortNamesOnly(VfsDriver):
    noticed = "test_layers_have_names_of_1_to_128_characters[layer4]"

    def create(self, layer: str, parent: str | None) -> None:
        (self.mounts / (layer * 2)).touch()
        (self.mounts / (layer * 2)).unlink()
        super().create(layer, parent)


class ForgetsDeletionsInDiffs(VfsDriver):
    noticed = "test_a_layer_made_from_the_diff_of_another_is_like_it[changed]"

    def diff(self, layer: str, placeholders: Collection[bytes] = ()) -> Iterator[bytes]:
        yield without(io.BytesIO(b"".join(super().diff(layer, placeholders))), ".wh.").getvalue()


class PutsPlaceholdersInDiffs(VfsDriver):
    noticed = "test_placeholders_are_no_changes_and_what_is_in_them_is"

    def diff(self, layer: str, placeholders: Collection[bytes] = ()) -> Iterator[bytes]:
        return super().diff(layer)


class FillsEmptyDiffs(VfsDriver):
    noticed = "test_the_diff_of_an_empty_layer_changes_nothing"

    def diff(self, layer: str, placeholders: Collection[bytes] = ()) -> Iterator[bytes]:
        with self.mounted(layer) as path:
            (path / ".transom").touch()
        return super().diff(layer, placeholders)


class ListsChangesInAnyOrder(VfsDriver):
    noticed = "test_changes_are_listed_with_parents_first"

    def changes(self, layer: str, placeholders: Collection[bytes] = ()) -> list[Change]:
        return super().changes(layer, placeholders)[::-1]


class ListsEverythingAsModified(VfsDriver):
    noticed = "test_changes_are_listed_with_parents_first"

    def changes(self, layer: str, placeholders: Collection[bytes] = ()) -> list[Change]:
        return [replace(change, kind=ChangeKind.MODIFIED) for change in super().changes(layer, placeholders)]


class ListsTheRoot(VfsDriver):
    noticed = "test_a_new_layer_has_no_changes"

    def changes(self, layer: str, placeholders: Collection[bytes] = ()) -> list[Change]:
        return [Change(b"/", ChangeKind.MODIFIED), *super().changes(layer, placeholders)]


class SealsOnWhatItWasWrittenOn(VfsDriver):
    noticed = "test_layers_that_stand_on_each_other_are_sealed_one_after_the_other"

    def seal(self, layer: str, name: str, parent: str | None) -> None:
        super().seal(layer, name, self.parent(layer))


class SealsOverOthers(VfsDriver):
    noticed = "test_a_layer_is_not_sealed_by_a_name_that_is_taken"

    def seal(self, layer: str, name: str, parent: str | None) -> None:
        self.remove(name)
        super().seal(layer, name, parent)


class CountsParentsToo(VfsDriver):
    noticed = "test_usage_counts_the_layer_and_not_its_parent"

    def usage(self, layer: str) -> Usage:
        below = self.usage(parent) if (parent := self.parent(layer)) is not None else Usage(0, 0)
        own = super().usage(layer)
        return Usage(below.size + own.size, below.inodes + own.inodes)


class IsShallow(VfsDriver):
    noticed = "test_a_chain_of_200_layers_can_be_mounted"

    def mount(self, layer: str, *, read_only: bool = False) -> Path:
        if len(self._layers.lineage(layer)) > 128:
            raise OSError("too many layers")
        return super().mount(layer, read_only=read_only)


class WorksForOneThreadOnly(VfsDriver):
    noticed = "test_many_threads_work_on_different_layers"
    busy: ClassVar[threading.Lock] = threading.Lock()

    def create(self, layer: str, parent: str | None) -> None:
        if not self.busy.acquire(blocking=False):
            raise RuntimeError("another thread works here")
        try:
            time.sleep(0.05)
            super().create(layer, parent)
        finally:
            self.busy.release()


class RecoversNothing(VfsDriver):
    noticed = "test_recovery_removes_unknown_layers_and_keeps_known_ones"

    def recover(self, known: Collection[str]) -> None:
        """Leave everything."""


class RecoversTooMuch(VfsDriver):
    noticed = "test_recovery_leaves_the_mount_of_a_known_layer"

    def recover(self, known: Collection[str]) -> None:
        super().recover(())


class LeavesWhatAKilledOneBegan(VfsDriver):
    noticed = "test_a_kill_at_any_step_leaves_what_recovery_removes[create]"

    def create(self, layer: str, parent: str | None) -> None:
        notes = self.root / (parent or "") / "notes"
        notes.write_text(layer)
        super().create(layer, parent)
        notes.unlink()


class TearsWhatAKilledOneRemoves(VfsDriver):
    noticed = "test_a_kill_at_any_step_leaves_what_recovery_removes[remove]"

    def remove(self, layer: str) -> None:
        for path in (self.root / layer / "tree").glob("*"):
            path.rename(self.root / f"gone-{path.name}")
            if (self.root / f"gone-{path.name}").is_dir():
                shutil.rmtree(self.root / f"gone-{path.name}")
            else:
                (self.root / f"gone-{path.name}").unlink()
        super().remove(layer)

    def recover(self, known: Collection[str]) -> None:
        known = {*known, *(path.name for path in self.root.glob("gone-*"))} if known else known
        super().recover(known)


class MakesLayersTwice(VfsDriver):
    noticed = "test_a_layer_is_not_made_twice"

    def create(self, layer: str, parent: str | None) -> None:
        self.remove(layer)
        super().create(layer, parent)


class DiffsDifferEachTime(VfsDriver):
    noticed = "test_names_of_any_bytes_are_kept_and_changed"

    def diff(self, layer: str, placeholders: Collection[bytes] = ()) -> Iterator[bytes]:
        whole = b"".join(super().diff(layer, placeholders))
        entries = sum(1 for _ in read_archive(io.BytesIO(whole)))
        yield whole + bytes(512 * (1 + time.monotonic_ns() % 1000) if entries else 0)


class SaysThatItsHardLinksPart(VfsDriver):
    noticed = "test_names_of_one_file_below_stay_together_unless_the_driver_says_otherwise"
    deviations: ClassVar[Deviations] = Deviations(hard_links_part=True)


class DoesNotSayThatDirectoriesStay(OverlayDriver):
    noticed = "test_a_rename_comes_to_what_it_does_on_a_plain_file_system[d-low to d-gone ]"
    deviations: ClassVar[Deviations] = replace(OverlayDriver.deviations, directories_stay=False)


class DoesNotSayThatHardLinksPart(OverlayDriver):
    noticed = "test_names_of_one_file_below_stay_together_unless_the_driver_says_otherwise"
    deviations: ClassVar[Deviations] = replace(OverlayDriver.deviations, hard_links_part=False)


class MountsWithoutPrograms(VfsDriver):
    noticed = "test_programs_can_be_run"

    def mount(self, layer: str, *, read_only: bool = False) -> Path:
        place = self.mounts / layer
        place.mkdir(exist_ok=True)
        mount(super().mount(layer, read_only=read_only), place, None, MS_BIND)
        mount(None, place, None, MS_BIND | 0x20 | 0x8)  # MS_REMOUNT, MS_NOEXEC
        return place

    def unmount(self, layer: str) -> None:
        umount2(self.mounts / layer)

    def recover(self, known: Collection[str]) -> None:
        for place in self.mounts.iterdir():
            umount2(place)
        super().recover(known)


#: Those whose layers are wrong, and those whose files are.
FILES: tuple[type[GraphDriver], ...] = (
    SaysThatItsHardLinksPart,
    DoesNotSayThatDirectoriesStay,
    DoesNotSayThatHardLinksPart,
    MountsWithoutPrograms,
)
DRIVERS: tuple[type[GraphDriver], ...] = tuple(
    kind
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, GraphDriver) and "noticed" in vars(kind) and kind not in FILES
)
