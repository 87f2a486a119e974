"""Volume drivers that are wrong."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from transom.drivers.volume import Volume, VolumeDriver
from transom.errors import NotFound
from transom.runtime.syscalls.mounts import is_mount_point, mount, umount2
from transom_named.driver import LocalDriver

__all__ = ["DRIVERS"]


class FindsThemMisplaced(LocalDriver):
    noticed = "test_a_mountpoint_that_is_known_is_where_it_is_mounted"

    def get(self, name: str) -> Volume:
        found = super().get(name)
        return Volume(name, found.mountpoint and found.mountpoint.parent)


class FillsNewOnes(LocalDriver):
    noticed = "test_a_new_volume_is_a_directory_and_empty_where_it_can_be_filled"

    def create(self, name: str, options: Mapping[str, str]) -> None:
        super().create(name, options)
        (self.root / name / "_data" / "lost+found").mkdir(exist_ok=True)


class EmptiesThemAfterUse(LocalDriver):
    noticed = "test_content_outlives_containers"

    def unmount(self, name: str, container: str) -> None:
        for path in (self.root / name / "_data").glob("*"):
            path.unlink()
        super().unmount(name, container)


class GivesEachContainerItsOwn(LocalDriver):
    noticed = "test_containers_share_a_volume"

    def mount(self, name: str, container: str) -> Path:
        own = super().mount(name, container) / container
        own.mkdir(exist_ok=True)
        return own


class HasOneForAll(LocalDriver):
    noticed = "test_volumes_do_not_share"

    def mount(self, name: str, container: str) -> Path:
        super().mount(name, container)
        return super().mount(self._volumes.names()[0], container)


class InMemory(LocalDriver):
    """A right driver whose volumes are mounted while they are used, for wrong ones to derive from."""

    def mount(self, name: str, container: str) -> Path:
        return self._volumes.mount(name, container, lambda data: mount("tmpfs", data, "tmpfs", 0))


class UnmountsForAll(InMemory):
    noticed = "test_unmounting_what_was_not_mounted_is_harmless"

    def unmount(self, name: str, container: str) -> None:
        super().unmount(name, container)
        if is_mount_point(self.root / name / "_data"):
            umount2(self.root / name / "_data")


class MountsOverTheFirst(InMemory):
    noticed = "test_a_second_mount_for_a_container_is_harmless"

    def mount(self, name: str, container: str) -> Path:
        data = self._volumes.data(name)
        mount("tmpfs", data, "tmpfs", 0)
        return data

    def unmount(self, name: str, container: str) -> None:
        while is_mount_point(self.root / name / "_data"):
            super().unmount(name, container)


class LeavesMounts(InMemory):
    noticed = "test_a_removed_volume_leaves_nothing_behind"

    def unmount(self, name: str, container: str) -> None:
        """Leave it."""

    def remove(self, name: str) -> None:
        if (self.root / name).is_dir():
            (self.root / name).rename(self.root / f".gone-{name}")


class MakesThemAnew(LocalDriver):
    noticed = "test_a_volume_that_exists_is_left_as_it_is"

    def create(self, name: str, options: Mapping[str, str]) -> None:
        super().remove(name)
        super().create(name, options)


class TakesShortNamesOnly(LocalDriver):
    noticed = "test_volumes_have_names_of_2_to_240_characters[name3]"

    def create(self, name: str, options: Mapping[str, str]) -> None:
        (self.root / f".{name}.being-made-by-this-driver").mkdir()
        (self.root / f".{name}.being-made-by-this-driver").rmdir()
        super().create(name, options)


class ListsThemInAnyOrder(LocalDriver):
    noticed = "test_volumes_are_listed_by_name"

    def list(self) -> list[Volume]:
        return super().list()[::-1]


class KeepsContentOfRemovedOnes(LocalDriver):
    noticed = "test_a_removed_name_begins_anew"

    def remove(self, name: str) -> None:
        (self.root / name / "removed").touch()

    def list(self) -> list[Volume]:
        return [volume for volume in super().list() if not (self.root / volume.name / "removed").exists()]


class RemovesOnlyWhatIsThere(LocalDriver):
    noticed = "test_removing_what_does_not_exist_is_harmless"

    def remove(self, name: str) -> None:
        self.get(name)
        super().remove(name)


class MakesThemWhenAsked(LocalDriver):
    noticed = "test_a_volume_that_does_not_exist_is_not_found"

    def get(self, name: str) -> Volume:
        self.create(name, {})
        return super().get(name)


class TakesAnyOption(LocalDriver):
    noticed = "test_a_wrong_option_is_refused_and_nothing_is_made"

    def create(self, name: str, options: Mapping[str, str]) -> None:
        super().create(name, {})


class MakesBeforeItRefuses(LocalDriver):
    noticed = "test_a_wrong_option_is_refused_and_nothing_is_made"

    def create(self, name: str, options: Mapping[str, str]) -> None:
        super().create(name, {})
        super().create(name, options)


class Forgets(LocalDriver):
    noticed = "test_another_driver_on_the_same_root_knows_the_volumes"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._made: set[str] = set()

    def create(self, name: str, options: Mapping[str, str]) -> None:
        super().create(name, options)
        self._made.add(name)

    def mount(self, name: str, container: str) -> Path:
        if name not in self._made:
            raise NotFound(f"get {name}: no such volume")
        return super().mount(name, container)


class MakesOneAtATime(LocalDriver):
    noticed = "test_many_threads_work_on_different_volumes"

    def create(self, name: str, options: Mapping[str, str]) -> None:
        making = self.root / ".making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(exist_ok=False)
        (making / "_data").mkdir()
        (making / "users").mkdir()
        making.rename(self.root / name)
        super().create(name, options)


class LeavesWhatAKilledOneBegan(LocalDriver):
    noticed = "test_a_volume_whose_maker_was_killed_can_be_removed_and_made_again"

    def create(self, name: str, options: Mapping[str, str]) -> None:
        (self.root / f".making-{name}").touch()
        super().create(name, options)
        (self.root / f".making-{name}").unlink()


DRIVERS: tuple[type[VolumeDriver], ...] = tuple(
    kind
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, VolumeDriver) and "noticed" in vars(kind)
)
