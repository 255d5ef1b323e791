"""Layers seen through ID mappings: other owners are shown, those of the image are kept."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING, ClassVar

import pytest

from orlop._sys.subids import available_ids
from orlop.errors import NotFoundError, OrlopError
from orlop.idmap import IdMapping
from orlop.storage.stored.auto import AutoIds
from orlop.testing.storage.base import StorageContractBase, image, member, put
from orlop.testing.storage.powers import acl

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.storage.storage import Storage
    from orlop.storage.stored.record import Container

SIZE = 1000
"""Users and groups that a container of these tests has."""


class MappingContract(StorageContractBase):
    """Layers seen through ID mappings; for processes that may give files to others.

    Attributes:
        first: The first id of this process's user namespace that containers get.
    """

    first: ClassVar[int] = 20_000

    @pytest.fixture
    def mapping(self) -> IdMapping:
        """Users from `first` on, and groups elsewhere."""
        if not self.owns:
            pytest.skip("without privilege all files have one owner")
        return IdMapping.parse([f"0:{self.first}:{SIZE}"], [f"0:{self.first + 5000}:{SIZE}"])

    def host(self, uid: int, gid: int) -> tuple[int, int]:
        """The ids of this process's namespace that a container's are."""
        return uid + self.first, gid + self.first + 5000

    def made(self, storage: Storage, mapping: IdMapping) -> Container:
        """A container of an image with files of several owners."""
        access = acl((2, 4, 7), (8, 4, 8)).decode("utf-8", "surrogateescape")
        acls = {"SCHILY.xattr.system.posix_acl_access": access}
        made = image(
            storage,
            [
                member("d", uid=1, gid=2),
                member("d/f", b"f" * 5000, uid=3, gid=4, mode=0o770, pax_headers=acls),
                member("l", type=tarfile.SYMTYPE, linkname="d/f", uid=5, gid=6),
            ],
            [member("root", b"root", uid=0, gid=0, mode=0o4755)],
        )
        return storage.containers.create(made.id, id_mapping=mapping)

    def test_owners_are_shown_as_others(self, storage: Storage, mapping: IdMapping) -> None:
        """Those that the mapping says, wherever the files come from."""
        container = self.made(storage, mapping)
        assert container.id_mapping == mapping
        expected = {"d": (1, 2), "d/f": (3, 4), "l": (5, 6), "root": (0, 0), ".": (0, 0)}
        for read_only in (False, True, False):
            with storage.containers.mount(container.id, read_only=read_only) as path:
                for name, (uid, gid) in expected.items():
                    assert owner(path / name) == self.host(uid, gid), name
                assert (path / "root").stat().st_mode & 0o7777 == 0o4755
                user, group = self.host(7, 8)
                access = os.getxattr(path / "d/f", "system.posix_acl_access")
                assert access == acl((2, 4, user), (8, 4, group))
                assert (path / "d/f").read_bytes() == b"f" * 5000

    def test_what_is_written_goes_back_to_the_images_ids(
        self, storage: Storage, mapping: IdMapping
    ) -> None:
        """In differences, commits, and children that have no mapping."""
        container = self.made(storage, mapping)
        with storage.containers.mount(container.id) as path:
            (path / "new").write_text("new")
            os.chown(path / "new", *self.host(7, 8))
            (path / "d/f").write_text("changed")
            os.setxattr(path / "new", "system.posix_acl_access", acl((2, 4, self.first + 9)))
        with storage.containers.diff(container.id) as stream:
            found = members_of(stream.read())
        assert (found["new"].uid, found["new"].gid) == (7, 8)
        assert (found["d/f"].uid, found["d/f"].gid) == (3, 4)
        assert [each.path for each in storage.containers.changes(container.id)] == [b"d/f", b"new"]
        committed = storage.containers.commit(container.id)
        with storage.layers.mount(committed.layer or "", read_only=True) as path:
            assert owner(path / "new") == (7, 8)
            assert owner(path / "d/f") == (3, 4)
            assert os.getxattr(path / "new", "system.posix_acl_access") == acl((2, 4, 9))
        plain = storage.layers.create(container.layer)
        with storage.layers.mount(plain.id) as path:
            assert owner(path / "new") == (7, 8)
            assert owner(path / "root") == (0, 0)

    def test_ids_that_are_not_mapped_cannot_be_kept(
        self, storage: Storage, mapping: IdMapping
    ) -> None:
        """Whoever wrote with them is told which file it is about."""
        container = self.made(storage, mapping)
        with storage.containers.mount(container.id) as path:
            (path / "stray").write_text("of somebody else")
        with (
            pytest.raises(NotFoundError, match="is not mapped"),
            storage.containers.diff(container.id) as stream,
        ):
            stream.read()
        with pytest.raises(OrlopError):
            storage.containers.commit(container.id)

    def test_children_of_mapped_layers(self, storage: Storage, mapping: IdMapping) -> None:
        """Each is seen through its own mapping, and writes through it."""
        parent = storage.layers.create(
            put(storage, member("f", b"f", uid=1, gid=1)).id, id_mapping=mapping
        )
        with storage.layers.mount(parent.id) as path:
            (path / "g").write_text("g")
            os.chown(path / "g", *self.host(2, 2))
        other = IdMapping.parse(
            [f"0:{self.first + 2000}:{SIZE}"], [f"0:{self.first + 2000}:{SIZE}"]
        )
        for each, shift in (
            (mapping, self.host),
            (other, lambda u, g: (u + self.first + 2000, g + self.first + 2000)),
        ):
            child = storage.layers.create(parent.id, id_mapping=each)
            with storage.layers.mount(child.id) as path:
                assert owner(path / "f") == shift(1, 1)
                assert owner(path / "g") == shift(2, 2)
                os.chown(path / "f", *shift(3, 3))
            with storage.layers.diff(child.id) as stream:
                found = members_of(stream.read())
            assert {name: (info.uid, info.gid) for name, info in found.items()} == {"f": (3, 3)}

    def test_automatic_mappings_are_apart(self, storage: Storage) -> None:
        """No id of one container is another's; those of a deleted one are free again."""
        self._need_ids()
        made = image(storage, [member("f", b"f", uid=0, gid=0)])
        one = storage.containers.create(made.id, id_mapping=AutoIds(size=SIZE))
        two = storage.containers.create(made.id, id_mapping=AutoIds(size=SIZE))
        spans = []
        for container in (one, two):
            assert container.id_mapping is not None
            (uids,) = container.id_mapping.uids
            assert (uids.container, uids.size) == (0, SIZE)
            spans.append(range(uids.host, uids.host + uids.size))
            with storage.containers.mount(container.id) as path:
                assert (path / "f").stat().st_uid == uids.host
        assert not set(spans[0]) & set(spans[1])
        storage.containers.delete(one.id)
        again = storage.containers.create(made.id, id_mapping=AutoIds(size=SIZE))
        assert again.id_mapping == one.id_mapping

    def test_more_ids_than_there_are(self, storage: Storage) -> None:
        """Nothing is made."""
        self._need_ids()
        with pytest.raises(NotFoundError, match="free"):
            storage.containers.create(id_mapping=AutoIds(size=2**32 - 10))
        assert storage.containers.list() == ()

    def test_one_namespace_for_all_who_map_alike(
        self, storage: Storage, mapping: IdMapping
    ) -> None:
        """However many containers are mounted."""
        self.needs_mounts()
        made = image(storage, [member("f", b"f", uid=0, gid=0)])
        mounts = []
        try:
            for _ in range(60):
                container = storage.containers.create(made.id, id_mapping=mapping)
                mounts.append(storage.containers.mount(container.id))
            assert open_namespaces() <= 1
        finally:
            for mount in mounts:
                mount.unmount()

    def test_the_root_of_an_empty_layer_is_mapped(
        self, storage: Storage, mapping: IdMapping
    ) -> None:
        """So that what stands on it can be shown with other IDs, too."""
        layer = storage.layers.create(id_mapping=mapping)
        with storage.layers.mount(layer.id) as path:
            assert owner(path) == self.host(0, 0)
            (path / "f").write_text("f")
            os.chown(path / "f", *self.host(5, 6))
        assert [change.path for change in storage.layers.changes(layer.id)] == [b"f"]
        child = storage.layers.create(layer.id)
        with storage.layers.mount(child.id) as path:
            assert owner(path) == (0, 0)
            assert owner(path / "f") == (5, 6)

    def _need_ids(self) -> None:
        if not self.owns:
            pytest.skip("without privilege all files have one owner")
        try:
            available_ids()
        except NotFoundError:
            pytest.skip("there are no subordinate ids: see subuid(5)")


def owner(path: Path) -> tuple[int, int]:
    """User and group of a file, a link itself."""
    found = path.lstat()
    return found.st_uid, found.st_gid


def members_of(data: bytes) -> dict[str, tarfile.TarInfo]:
    """The members of a tar that are no directories, by name."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {info.name: info for info in archive if not info.isdir()}


def open_namespaces() -> int:
    """How many user namespaces this process has open."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:
            continue
    return len([each for each in found if each.startswith("user:")])
