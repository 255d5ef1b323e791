"""Layers as tars: taken in, given out, compared; what a tar cannot say."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest

from orlop.digest import Digest
from orlop.errors import InUseError, InvalidLayerError, OrlopError, UnsupportedError
from orlop.testing.storage.base import StorageContractBase, image, member, put, tar
from orlop.testing.storage.views import differences, view
from orlop.tree import Change

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.storage.storage import Storage

BASE = (member("d"), member("d/a", b"a"), member("d/b", b"b"), member("f", b"f"))


class TarContract(StorageContractBase):
    """Layers as tars."""

    def test_a_tar_comes_out_as_it_came(self, storage: Storage) -> None:
        """Byte for byte, whatever it was compressed with, and whatever archiver made it."""
        odd = io.BytesIO()
        with tarfile.open(fileobj=odd, mode="w", format=tarfile.GNU_FORMAT) as archive:
            archive.addfile(member("./x" * 60, b"")[0])
        data = odd.getvalue() + bytes(10240)
        compress: dict[str, Callable[[bytes], bytes]] = {
            "none": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress,
        }  # fmt: skip
        for name, function in compress.items():
            layer = storage.layers.put(io.BytesIO(function(data)))
            assert (layer.compression, layer.diff_id) == (name, Digest.of(data))
            with storage.layers.diff(layer.id) as stream:
                assert stream.read() == data
            with storage.layers.diff(layer.id, compression="gzip") as stream:
                assert gzip.decompress(stream.read()) == data
            assert storage.layers.diff_size(layer.id) == len(data)
            with pytest.raises(ValueError, match="'xz' is no compression"):
                storage.layers.diff(layer.id, compression="xz")  # type: ignore[arg-type]

    def test_the_size_of_a_difference_is_that_of_its_tar(self, storage: Storage) -> None:
        """Also where the root has become another one."""
        layer = storage.layers.create(put(storage, *BASE).id)
        assert storage.layers.diff_size(layer.id) == len(self._diff(storage, layer.id))
        for mode in (0o755, 0o700):
            with storage.layers.mount(layer.id) as path:
                (path / "new").write_bytes(b"n" * 5000)
                path.chmod(mode)
            data = self._diff(storage, layer.id)
            assert storage.layers.diff_size(layer.id) == len(data)
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                assert ("." in archive.getnames()) == (mode == 0o700)

    def test_nothing_changed(self, storage: Storage) -> None:
        """A new layer, mounted or not, differs in nothing from its parent."""
        layer = storage.layers.create(put(storage, *BASE).id)
        for _ in range(2):
            assert storage.layers.changes(layer.id) == ()
            with tarfile.open(fileobj=io.BytesIO(self._diff(storage, layer.id))) as archive:
                assert archive.getnames() == []
            with storage.layers.mount(layer.id):
                pass

    def test_changes_are_listed(self, storage: Storage) -> None:
        """Against the parent, against any other layer, and the other way round."""
        base = put(storage, *BASE)
        layer = storage.layers.create(base.id)
        with storage.layers.mount(layer.id) as path:
            (path / "d/a").write_bytes(b"changed")
            (path / "d/b").unlink()
            (path / "d/new").mkdir()
            (path / "d/new/x").touch()
            os.utime(path / "d", ns=(1, 1))
        assert storage.layers.changes(layer.id) == (
            Change(kind="modify", path=b"d"),
            Change(kind="modify", path=b"d/a"),
            Change(kind="delete", path=b"d/b"),
            Change(kind="add", path=b"d/new"),
            Change(kind="add", path=b"d/new/x"),
        )
        backwards = {
            change.path: change.kind for change in storage.layers.changes(base.id, layer.id)
        }
        assert (backwards[b"d/b"], backwards[b"d/new"], backwards[b"d/a"]) == (
            "add", "delete", "modify",
        )  # fmt: skip
        assert storage.layers.changes(layer.id, layer.id) == ()

    def test_a_tar_that_is_cut_short_changes_nothing(self, storage: Storage) -> None:
        """Neither does one that is none, or does not fit."""
        base = put(storage, *BASE)
        layer = storage.layers.create(base.id)
        with storage.layers.mount(layer.id) as path:
            (path / "kept").write_bytes(b"kept")
        noise = random.Random(0).randbytes(5000)  # noqa: S311
        data = tar(member("f", noise), member("g", b"g"))
        packed = gzip.compress(data)
        link = member("l", b"", type=tarfile.LNKTYPE, linkname="nowhere")
        wrong = [b"", b"no tar" * 1000, data[:3000], packed[:-9], packed[:200], tar(link)]
        before = storage.layers.get(layer.id)
        for each in wrong:
            with pytest.raises(OrlopError):
                storage.layers.apply_diff(layer.id, io.BytesIO(each))
            with pytest.raises(OrlopError):
                storage.layers.put(io.BytesIO(each), layer.id, names=["failed"])
            assert storage.layers.get(layer.id).parent == before.parent
            with storage.layers.mount(layer.id, read_only=True) as path:
                assert (path / "kept").read_bytes() == b"kept"
                assert (path / "f").read_bytes() == b"f"
        assert len(storage.layers.list()) == 2

    def test_a_tar_is_applied_to_an_empty_layer_as_it_is(self, storage: Storage) -> None:
        """The layer is made of that very tar from then on, and can be written to."""
        layer = storage.layers.create(put(storage, *BASE).id)
        data = tar(member(".wh.f", b""), member("d/new", b"new"))
        applied = storage.layers.apply_diff(layer.id, io.BytesIO(gzip.compress(data)))
        assert applied.diff_id == Digest.of(data)
        assert self._diff(storage, layer.id) == data
        with storage.layers.mount(layer.id) as path:
            assert sorted(os.listdir(path / "d")) == ["a", "b", "new"]
            assert not (path / "f").exists()
            (path / "g").write_bytes(b"g")
        assert {change.path for change in storage.layers.changes(layer.id)} == {
            b"d/new", b"f", b"g",
        }  # fmt: skip

    def test_what_a_tar_put_in_stays_when_the_layer_is_written_to(self, storage: Storage) -> None:
        """Though the parent has a file of the same size and time, and nobody has touched it since.

        Builds that obey SOURCE_DATE_EPOCH give all files one time.
        """
        parent = put(storage, member("f", b"old"))
        layer = storage.layers.create(parent.id)
        storage.layers.apply_diff(layer.id, io.BytesIO(tar(member("f", b"new"))))
        with storage.layers.mount(layer.id) as path:
            (path / "g").write_bytes(b"g")
        with (
            storage.layers.diff(layer.id) as stream,
            tarfile.open(fileobj=stream, mode="r|") as found,
        ):
            assert {each.name for each in found} == {"f", "g"}
        child = put(storage, member("h", b"h"), parent=layer.id)
        with storage.layers.mount(child.id) as path:
            assert (path / "f").read_bytes() == b"new"

    def test_a_tar_is_merged_with_what_was_written(self, storage: Storage) -> None:
        """What the tar does not touch stays."""
        layer = storage.layers.create(put(storage, *BASE).id)
        with storage.layers.mount(layer.id) as path:
            (path / "d/a").write_bytes(b"written")
            (path / "mine").write_bytes(b"mine")
        storage.layers.apply_diff(
            layer.id, io.BytesIO(tar(member("f", b"tar"), member(".wh.mine", b"")))
        )
        with storage.layers.mount(layer.id, read_only=True) as path:
            assert (path / "d/a").read_bytes() == b"written"
            assert (path / "f").read_bytes() == b"tar"
            assert not (path / "mine").exists()

    def test_a_parent_takes_no_tar(self, storage: Storage) -> None:
        """And neither does a layer that is mounted."""
        layer = storage.layers.create()
        with storage.layers.mount(layer.id), pytest.raises(InUseError):
            storage.layers.apply_diff(layer.id, io.BytesIO(tar(*BASE)))
        child = storage.layers.create(layer.id)
        with pytest.raises(InUseError) as caught:
            storage.layers.apply_diff(layer.id, io.BytesIO(tar(*BASE)))
        assert caught.value.users == (f"layer {child.id}",)

    def test_a_layer_of_an_image_takes_no_tar(self, storage: Storage) -> None:
        """Its ID says what it holds, and the image's config does."""
        made = storage.images.publish(image(storage, list(BASE)).id, "box")
        assert made.layer is not None
        with pytest.raises(InUseError) as caught:
            storage.layers.apply_diff(made.layer, io.BytesIO(tar(*BASE)))
        assert caught.value.users == (f"image {made.id}",)

    def test_names_that_mark_whiteouts_are_refused(self, storage: Storage) -> None:
        """No layer can hold them: the files are there until they are to become a tar.

        Spec: image-spec v1.1, layer.md, "Whiteouts".
        """
        layer = storage.layers.create(put(storage, *BASE).id)
        with storage.layers.mount(layer.id) as path:
            (path / ".wh.f").write_bytes(b"mine")
        with storage.layers.mount(layer.id, read_only=True) as path:
            assert sorted(os.listdir(path)) == [".wh.f", "d", "f"]
        with pytest.raises(UnsupportedError, match="taken for a whiteout"):
            self._diff(storage, layer.id)
        with pytest.raises(UnsupportedError, match="taken for a whiteout"):
            put(storage, member("x", b"x"), parent=layer.id)
        container = storage.containers.create(layer=layer.id)
        with pytest.raises(UnsupportedError, match="taken for a whiteout"):
            storage.containers.commit(container.id)
        with storage.containers.mount(container.id) as path:
            (path / ".wh.f").unlink()
            assert (path / "f").exists()

    def test_the_longest_names_are_removed(self, storage: Storage) -> None:
        """The names of their whiteouts are longer than a name can be."""
        layer = storage.layers.create(put(storage, member("n" * 255, b"x")).id)
        with storage.layers.mount(layer.id) as path:
            (path / ("n" * 255)).unlink()
        child = put(storage, member("new", b"new"), parent=layer.id)
        with storage.layers.mount(child.id) as path:
            assert os.listdir(path) == ["new"]

    def test_sockets_are_left_out_and_hide_what_they_hid(self, storage: Storage) -> None:
        """Also those of several names; what lay below does not come back."""
        layer = storage.layers.create(put(storage, *BASE).id)
        with storage.layers.mount(layer.id) as path:
            (path / "f").unlink()
            os.mknod(path / "f", stat.S_IFSOCK | 0o644)
            os.link(path / "f", path / "d/socket")
            (path / "d/file").write_bytes(b"one")
            os.link(path / "d/file", path / "two")
            assert stat.S_ISSOCK((path / "d/socket").lstat().st_mode)
        assert storage.layers.diff_size(layer.id) == len(self._diff(storage, layer.id))
        child = put(storage, member("new", b"new"), parent=layer.id)
        with storage.layers.mount(child.id) as path:
            assert sorted(os.listdir(path)) == ["d", "new", "two"]
            assert sorted(os.listdir(path / "d")) == ["a", "b", "file"]
            assert (path / "two").samefile(path / "d/file")

    def test_sockets_that_hide_nothing_are_no_whiteouts(self, storage: Storage) -> None:
        """An overlay would list a whiteout in a directory that nothing is below."""
        layer = storage.layers.create(put(storage, *BASE).id)
        with storage.layers.mount(layer.id) as path:
            for name in ("d/a", "d/b", "f"):
                (path / name).unlink()
            (path / "d").rmdir()
            (path / "f").mkdir()
            (path / "d").mkdir()
            (path / "d/new").mkdir()
            for name in ("socket", "d/a", "d/new/a", "f/a"):
                os.mknod(path / name, stat.S_IFSOCK | 0o644)
        with tarfile.open(fileobj=io.BytesIO(self._diff(storage, layer.id))) as archive:
            marks = {name for name in archive.getnames() if ".wh." in name}
        assert marks - {"d/.wh..wh..opq", "f/.wh..wh..opq"} in (set(), {"d/.wh.a", "d/.wh.b"})

    def test_a_difference_applied_elsewhere_looks_the_same(
        self, storage: Storage, open_storage: Callable[..., Storage]
    ) -> None:
        """In a store of its own, of the driver that suits every machine."""
        base = put(storage, *BASE)
        layer = storage.layers.create(base.id)
        with storage.layers.mount(layer.id) as path:
            (path / "d/a").rename(path / "moved")
            (path / "d/b").unlink()
            (path / "d").rmdir()
            (path / "d").mkdir(mode=0o711)
            path.chmod(0o711)
        other = open_storage("other", "vfs")
        with storage.layers.diff(base.id) as stream:
            made = other.layers.put(stream).id
        with storage.layers.diff(layer.id) as stream:
            made = other.layers.put(stream, made).id
        with (
            storage.layers.mount(layer.id, read_only=True) as ours,
            other.layers.mount(made) as theirs,
        ):
            assert differences(view(ours), view(theirs)) == []

    def test_a_file_that_was_below_is_linked_to(self, storage: Storage) -> None:
        """By a tar that stands on what has it, and by none that does not."""
        base = put(storage, *BASE)
        link = member("l", b"", type=tarfile.LNKTYPE, linkname="d/a")
        child = put(storage, link, parent=base.id)
        with storage.layers.mount(child.id, read_only=True) as path:
            assert (path / "l").samefile(path / "d/a")
        with pytest.raises(InvalidLayerError):
            put(storage, link)

    @staticmethod
    def _diff(storage: Storage, key: str) -> bytes:
        with storage.layers.diff(key) as stream:
            return stream.read()
