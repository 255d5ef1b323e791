"""Layers mounted: counted across processes, for writing or not, many of them, and many times."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, ClassVar, Self

import pytest

from orlop._sys.mountinfo import iter_mounts
from orlop.errors import InUseError, NotFoundError
from orlop.testing.storage.base import (
    StorageContractBase,
    image,
    member,
    mounts_below,
    put,
    tar,
)

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.storage.storage import Storage

_HOLDER = """\
import sys
from orlop.storage.places import Places
from orlop.storage.storage import Storage
from pathlib import Path
root, run, driver, layer, keep = sys.argv[1:]
with Storage.open(Places(Path(root), Path(run)), driver=driver) as storage:
    mount = storage.layers.mount(layer, keep=bool(keep))
    print(mount.path, flush=True)
    sys.stdin.read()
    if not keep:
        mount.unmount()
"""


class MountContract(StorageContractBase):
    """Layers mounted.

    Attributes:
        many_layers: How many layers the test of many layers has.
    """

    many_layers: ClassVar[int] = 320

    def test_all_share_one_mount(self, storage: Storage, place: Path) -> None:
        """It goes with the last of them."""
        layer = storage.layers.create(put(storage, member("f", b"f")).id, names=["box"])
        one = storage.layers.mount("box")
        two = storage.layers.mount(layer.id[:20], read_only=True)
        assert one.path == two.path
        assert one.writable
        assert storage.layers.mounted("box") == 2
        assert storage.layers.users("box").mounts == (str(one.path),)
        with pytest.raises(InUseError):
            storage.layers.delete("box")
        (one.path / "new").write_text("new")
        assert one.unmount() == 1
        assert one.unmount() == 0
        assert (two.path / "new").read_text() == "new"
        assert two.unmount() == 0
        assert storage.layers.mounted("box") == 0
        storage.let_go()
        assert mounts_below(place) == []
        with storage.layers.mount("box", read_only=True) as path:
            assert (path / "new").read_text() == "new"

    def test_a_read_only_mount_takes_no_writes(self, storage: Storage) -> None:
        """Not even root's; and nobody gets it for writing meanwhile."""
        self.needs_mounts()
        layer = storage.layers.create(put(storage, member("f", b"f")).id)
        for _ in range(2):
            with storage.layers.mount(layer.id, read_only=True) as path:
                with pytest.raises(OSError, match="Read-only"):
                    (path / "f").write_text("x")
                with pytest.raises(InUseError, match="read-only"):
                    storage.layers.mount(layer.id, read_only=False)
            with storage.layers.mount(layer.id) as path:
                (path / "f").write_text("x")

    def test_a_parent_is_read_only(self, storage: Storage) -> None:
        """From the moment on that a layer stands on it."""
        storage.layers.create(names=["parent"])
        with storage.layers.mount("parent") as path:
            (path / "f").write_text("of the parent")
            with pytest.raises(InUseError) as caught:
                storage.layers.create("parent")
            assert caught.value.users == (f"mount {path}",)
        child = storage.layers.create("parent")
        with pytest.raises(InUseError) as caught:
            storage.layers.mount("parent", read_only=False)
        assert caught.value.users == (f"layer {child.id}",)
        mount = storage.layers.mount("parent")
        assert not mount.writable
        with storage.layers.mount(child.id) as path:
            assert (path / "f").read_text() == "of the parent"
            (path / "f").write_text("of the child")
        assert (mount.path / "f").read_text() == "of the parent"
        mount.unmount()
        storage.layers.delete(child.id)
        with storage.layers.mount("parent", read_only=False) as path:
            (path / "f").write_text("again")

    def test_layers_that_are_read_only(self, storage: Storage) -> None:
        """Their maker said so: they take tars and no writes."""
        layer = storage.layers.create(read_only=True)
        with pytest.raises(InUseError):
            storage.layers.mount(layer.id, read_only=False)
        storage.layers.apply_diff(layer.id, io.BytesIO(tar(member("f", b"f"))))
        mount = storage.layers.mount(layer.id)
        assert (mount.writable, (mount.path / "f").read_text()) == (False, "f")
        mount.unmount()

    def test_mounts_are_for_looking_at_and_containers_for_running(self, storage: Storage) -> None:
        """Devices and set-user-id bits work in a container's mount alone."""
        if not (self.may_mount and self.driver != "vfs"):
            pytest.skip("the directory of a layer has the options of the filesystem it lies on")
        base = put(storage, member("f", b"f", mode=0o4755))
        layer, container = storage.layers.create(base.id), storage.containers.create(layer=base.id)
        expected = {os.ST_NODEV | os.ST_NOSUID, 0}
        found = set()
        for mount in (storage.layers.mount(layer.id), storage.containers.mount(container.id)):
            found.add(os.statvfs(mount.path).f_flag & (os.ST_NODEV | os.ST_NOSUID))
            mount.unmount()
        assert found == expected or not self.initial

    def test_processes_count(self, storage: Storage, place: Path) -> None:
        """Each hold ends with its process, and the last one takes the mount away."""
        layer = storage.layers.create()
        with _Holder(self, place, layer.id) as holder:
            mount = storage.layers.mount(layer.id)
            assert str(mount.path) == holder.path
            assert storage.layers.mounted(layer.id) == 2
            assert mount.unmount() == 1
            with pytest.raises(InUseError):
                storage.layers.unmount(layer.id)
            holder.end()
        assert storage.layers.mounted(layer.id) == 0

    def test_a_killed_process_holds_nothing(self, storage: Storage, place: Path) -> None:
        """Its mount goes when somebody mounts, looks or cleans; the layer can be used at once."""
        layer = storage.layers.create()
        with _Holder(self, place, layer.id) as holder:
            with pytest.raises(InUseError):
                storage.layers.delete(layer.id)
            holder.kill()
        assert storage.layers.mounted(layer.id) == 0
        with storage.layers.mount(layer.id, read_only=False) as path:
            (path / "f").write_text("x")
        with _Holder(self, place, layer.id) as holder:
            holder.kill()
        child = storage.layers.create(layer.id)
        storage.layers.delete(child.id)
        storage.layers.delete(layer.id)

    def test_a_mount_can_outlive_its_process(self, storage: Storage, place: Path) -> None:
        """Until somebody unmounts it: one hold after the other, or all by force."""
        layer = storage.layers.create()
        for _ in range(3):
            with _Holder(self, place, layer.id, keep=True) as holder:
                holder.end()
        assert storage.layers.mounted(layer.id) == 3
        assert storage.layers.unmount(layer.id) == 2
        with storage.layers.mount(layer.id):
            assert storage.layers.mounted(layer.id) == 3
            assert storage.layers.unmount(layer.id) == 2
        assert storage.layers.unmount(layer.id, force=True) == 0
        assert storage.layers.unmount(layer.id) == 0

    def test_what_is_in_use_is_unmounted_by_force_alone(self, storage: Storage) -> None:
        """The hold stays otherwise."""
        self.needs_mounts()
        if self.driver == "vfs":
            pytest.skip("a layer that takes writes is the directory itself, and not mounted")
        layer = storage.layers.create()
        mount = storage.layers.mount(layer.id, keep=True)
        with (mount.path / "f").open("w") as file:
            with pytest.raises(InUseError):
                mount.unmount()
            with pytest.raises(InUseError):
                storage.layers.unmount(layer.id)
            assert storage.layers.mounted(layer.id) == 1
            storage.layers.unmount(layer.id, force=True)
            file.write("late")
        assert storage.layers.mounted(layer.id) == 0
        with storage.layers.mount(layer.id) as path:
            assert (path / "f").read_text() == "late"

    def test_what_is_in_use_and_nobody_holds_is_unmounted_by_force(
        self, storage: Storage, place: Path
    ) -> None:
        """Its holder was killed, and something else uses it still."""
        self.needs_mounts()
        if self.driver == "vfs":
            pytest.skip("a layer that takes writes is the directory itself, and not mounted")
        layer = storage.layers.create()
        with _Holder(self, place, layer.id) as holder:
            with open(f"{holder.path}/f", "w"):
                holder.kill()
                with pytest.raises(InUseError):
                    storage.layers.unmount(layer.id)
                assert storage.layers.unmount(layer.id, force=True) == 0
            assert mounts_below(place) == []

    def test_a_container_is_deleted_while_mounted_by_force_alone(self, storage: Storage) -> None:
        """Its mount goes first."""
        container = storage.containers.create(image(storage, [member("f", b"f")]).id)
        storage.containers.mount(container.id, keep=True)
        with pytest.raises(InUseError):
            storage.containers.delete(container.id)
        assert storage.containers.mounted(container.id) == 1
        storage.containers.delete(container.id, force=True)
        with pytest.raises(NotFoundError):
            storage.containers.get(container.id)

    def test_a_parent_becomes_a_tar_while_its_child_is_mounted(self, storage: Storage) -> None:
        """The child's mount goes on, and shows the same when it is mounted anew."""
        parent = storage.layers.create(put(storage, member("f", b"f")).id)
        with storage.layers.mount(parent.id) as path:
            (path / "written").write_bytes(b"w" * 10_000)
        child = storage.layers.create(parent.id)
        with storage.layers.mount(child.id) as path:
            (path / "mine").write_text("mine")
            other = put(storage, member("tar", b"tar"), parent=parent.id)
            assert storage.layers.get(parent.id).diff_id is not None
            assert (path / "written").read_bytes() == b"w" * 10_000
            (path / "written").write_text("changed")
            with storage.layers.mount(other.id, read_only=True) as theirs:
                assert sorted(os.listdir(theirs)) == ["f", "tar", "written"]
                assert (theirs / "written").read_bytes() == b"w" * 10_000
        with storage.layers.mount(child.id) as path:
            assert sorted(os.listdir(path)) == ["f", "mine", "written"]
            assert (path / "written").read_text() == "changed"
        with storage.layers.mount(other.id) as path:
            assert (path / "written").read_bytes() == b"w" * 10_000

    def test_hundreds_of_layers(self, storage: Storage) -> None:
        """More than fit in the options of a mount as text."""
        top = None
        for number in range(self.many_layers):
            top = put(storage, member(f"f{number % 150}", b"%d" % number), parent=top).id
        container = storage.containers.create(layer=top)
        with storage.containers.mount(container.id) as path:
            expected = {f"f{number % 150}": f"{number}" for number in range(self.many_layers)}
            assert {each.name: each.read_text() for each in path.iterdir()} == expected
            (path / "f0").write_text("written")
        assert [change.path for change in storage.containers.changes(container.id)] == [b"f0"]

    def test_a_chain_of_written_layers(self, storage: Storage) -> None:
        """Each child shows the writes of all above its base."""
        top = put(storage, member("f", b"0")).id
        for number in range(1, 20):
            top = storage.layers.create(top).id
            with storage.layers.mount(top) as path:
                assert (path / "f").read_text() == f"{number - 1}"
                (path / "f").write_text(f"{number}")
                (path / f"g{number}").touch()
        with storage.layers.mount(top, read_only=True) as path:
            assert len(os.listdir(path)) == 20
        child = put(storage, member("tar", b""), parent=top)
        with storage.layers.mount(child.id) as path:
            assert (path / "f").read_text() == "19"

    def test_volatile_containers_are_mounted_again(self, storage: Storage) -> None:
        """As often as anybody likes, though the kernel wants a new directory each time."""
        container = storage.containers.create(image(storage, [member("f", b"f")]).id, volatile=True)
        for number in range(3):
            with storage.containers.mount(container.id) as path:
                (path / f"{number}").touch()
        with storage.containers.mount(container.id) as path:
            assert sorted(os.listdir(path)) == ["0", "1", "2", "f"]
        assert len(storage.containers.changes(container.id)) == 3

    def test_containers_of_one_image_share_its_mount(self, storage: Storage, place: Path) -> None:
        """With a hundred of them there is one EROFS at most, and it goes with the last."""
        self.needs_mounts()
        made = image(storage, [member("f", b"f")], [member("g", b"g")])
        containers = [storage.containers.create(made.id) for _ in range(100)]
        mounts = [storage.containers.mount(each.id) for each in containers]
        try:
            (mounts[0].path / "f").write_text("its own")
            assert (mounts[99].path / "f").read_text() == "f"
            top = os.fsencode(os.path.realpath(storage.places.run))
            images = [
                info
                for info in iter_mounts()
                if info.fstype == "erofs" and info.mount_point.startswith(top)
            ]
            assert len(images) == (1 if self.driver == "erofs" else 0)
        finally:
            for mount in mounts:
                mount.unmount()
        storage.let_go()
        assert mounts_below(place) == []

    def test_marks_of_overlays_in_images(self, storage: Storage) -> None:
        """They are attributes like others, above which nothing vanishes."""
        if not self.initial or not self.owns:
            pytest.skip("trusted attributes are root's of the machine")
        records = {
            "SCHILY.xattr.trusted.overlay.opaque": "y",
            "SCHILY.xattr.trusted.overlay.metacopy": "",
            "SCHILY.xattr.user.note": "kept",
        }
        base = put(storage, member("d"), member("d/f", b"f"))
        top = put(
            storage,
            member("d", pax_headers=records),
            member("d/g", b"g", pax_headers=records),
            parent=base.id,
        )
        layer, container = storage.layers.create(top.id), storage.containers.create(layer=top.id)
        for mount in (
            storage.layers.mount(layer.id, read_only=True), storage.layers.mount(layer.id),
            storage.containers.mount(container.id),
        ):  # fmt: skip
            with mount as path:
                assert sorted(os.listdir(path / "d")) == ["f", "g"]
                for each in (path / "d", path / "d/g"):
                    assert set(os.listxattr(each)) == {
                        "trusted.overlay.opaque", "trusted.overlay.metacopy", "user.note",
                    }  # fmt: skip
                if mount.writable:
                    (path / "d/g").write_text("changed")
        with storage.containers.mount(container.id) as path:
            assert os.getxattr(path / "d/g", "trusted.overlay.opaque") == b"y"
        assert [each.path for each in storage.containers.changes(container.id)] == [b"d/g"]

    def test_nothing_of_overlays_own_is_seen(self, storage: Storage) -> None:
        """A layer that was written to shows what was written, whatever lies below it."""
        for base in (None, put(storage, member("d"), member("d/f", b"f")).id):
            layer = storage.layers.create(base)
            with storage.layers.mount(layer.id) as path:
                (path / "d").mkdir(exist_ok=True)
                (path / "d/f").touch()
                (path / "d/f").unlink()
                (path / "d").rmdir()
                (path / "d").mkdir()
            for child in (layer.id, storage.layers.create(layer.id).id):
                with storage.layers.mount(child, read_only=True) as path:
                    assert [*os.listxattr(path), *os.listxattr(path / "d")] == []
                    assert (os.listdir(path), os.listdir(path / "d")) == (["d"], [])

    def test_the_root_is_the_parents(self, storage: Storage) -> None:
        """Mode, owner and time, until it is changed."""
        base = put(storage, member(".", mode=0o751, mtime=1_500_000_000), member("f", b"f"))
        layer = storage.layers.create(base.id)
        for _ in range(2):
            with storage.layers.mount(layer.id) as path:
                found = path.stat()
                assert stat.S_IMODE(found.st_mode) == 0o751
                assert found.st_mtime_ns == 1_500_000_000 * 10**9


class _Holder:
    """A process that holds a mount."""

    def __init__(
        self, contract: StorageContractBase, place: Path, layer: str, *, keep: bool = False
    ) -> None:
        places = contract.places(place, "own")
        words = [places.root, places.run, contract.driver, layer, "keep" if keep else ""]
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", _HOLDER, *map(str, words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.path = self._process.stdout.readline().strip()
        assert self.path, "the process holds nothing"

    def end(self) -> None:
        """Let it end by itself."""
        self._process.communicate(timeout=60)
        assert self._process.returncode == 0

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
