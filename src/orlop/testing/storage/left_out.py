"""What an image has and this process cannot make: left out, told, and not taken for deleted."""

from __future__ import annotations

import os
import stat
import tarfile
from typing import TYPE_CHECKING

from orlop.storage.layers.ancestry import ancestry
from orlop.storage.layers.contents import Contents
from orlop.testing.storage.base import Member, StorageContractBase, image, member
from orlop.tree import Node, lookup

if TYPE_CHECKING:
    from orlop.storage.storage import Storage


class LeftOutContract(StorageContractBase):
    """Devices and owners, which root of the machine alone can make as it likes."""

    def members(self) -> list[Member]:
        """An image of a root that is somebody's, with a device and an attribute of root's."""
        records = {"SCHILY.xattr.trusted.note": "kept"}
        return [
            member("./", uid=0, gid=0, mode=0o751),
            member("dev", uid=0, gid=0),
            member("dev/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, uid=0, gid=0),
            member("f", b"f" * 3000, uid=5, gid=6, pax_headers=records),
            member("g", b"g", uid=0, gid=0),
        ]

    def test_what_cannot_be_made_is_left_out_and_told(self, storage: Storage) -> None:
        """All else is there."""
        container = storage.containers.create(image(storage, self.members()).id)
        with storage.containers.mount(container.id) as path:
            assert (path / "f").read_bytes() == b"f" * 3000
            assert (path / "dev/null").exists() == self.initial_root
            if self.owns:
                assert ((path / "f").stat().st_uid, (path / "f").stat().st_gid) == (5, 6)
        left_out = storage.layers.left_out(container.layer)
        told = {(each.path, each.what) for each in left_out.dropped}
        if self.initial_root:
            assert left_out.nothing
            assert stat.S_ISCHR(self._merged(storage, container.layer, b"dev/null").mode)
        else:
            assert told == {(b"dev/null", "device 1:3"), (b"f", "xattr trusted.note")}
            assert left_out.count == 2
            assert left_out.owners == self.owns

    def test_it_is_not_taken_for_changed(self, storage: Storage) -> None:
        """Neither in differences, nor in layers that are made of the container."""
        container = storage.containers.create(image(storage, self.members()).id)
        with storage.containers.mount(container.id) as path:
            (path / "new").write_bytes(b"new")
            (path / "g").write_bytes(b"changed")
            if self.owns:
                os.chown(path / "new", 0, 0)
        assert {each.path for each in storage.containers.changes(container.id)} == {b"g", b"new"}
        child = storage.layers.create(container.layer)
        with storage.layers.mount(child.id) as path:
            (path / "more").write_bytes(b"more")
        assert {each.path for each in storage.layers.changes(child.id)} == {b"more"}
        committed = storage.containers.commit(container.id).layer or ""
        for layer in (committed, child.id):
            assert owner(self._merged(storage, layer, b"")) == (0, 0)
            assert owner(self._merged(storage, layer, b"f")) == (5, 6)
            assert owner(self._merged(storage, layer, b"g")) == (0, 0)
            assert owner(self._merged(storage, layer, b"new")) == (0, 0)
            assert self._merged(storage, layer, b"f").xattrs == {b"trusted.note": b"kept"}
            assert self._merged(storage, layer, b"dev/null").rdev == os.makedev(1, 3)

    @property
    def initial_root(self) -> bool:
        """Whether this process can make everything."""
        return self.initial and self.may_mount

    @staticmethod
    def _merged(storage: Storage, layer: str, path: bytes) -> Node:
        """What a layer holds at a path, with what is in its directory only in part."""
        with Contents(storage) as contents:
            found = lookup(contents.tree(ancestry(storage, layer)), path, follow_last=False)
        assert found is not None
        return found


def owner(node: Node) -> tuple[int, int]:
    """User and group of an inode."""
    return node.uid, node.gid
