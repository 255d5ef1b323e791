"""What is recorded of layers, images and containers: names, data, and who needs whom."""

from __future__ import annotations

import gzip
import io
import os
from typing import TYPE_CHECKING

import pytest

from orlop.digest import Digest
from orlop.errors import (
    AlreadyExistsError,
    AmbiguousError,
    InUseError,
    InvalidError,
    LimitExceededError,
    NotFoundError,
)
from orlop.storage.naming import MAX_METADATA_SIZE, MAX_NAME_LENGTH
from orlop.testing.storage.base import StorageContractBase, image, member, put, tar

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.storage.big_data import BigDataStore
    from orlop.storage.storage import Storage

UNKNOWN = "sha256:" + "0" * 64


class RecordsContract(StorageContractBase):
    """Layers, images and containers, as far as no files are looked at."""

    def test_a_layer_is_found_by_all_that_it_is_called(self, storage: Storage) -> None:
        """ID, name, unique prefix; nothing else."""
        layer = storage.layers.create(id="abc0", names=["one", "two"], metadata="noted")
        other = storage.layers.create(layer.id, id="abd0", flags={"a": [1, {"b": None}]})
        for key in ("abc0", "one", "two", "abc"):
            assert storage.layers.get(key) == layer
        assert (layer.parent, other.parent) == (None, "abc0")
        assert other.flags == {"a": [1, {"b": None}]}
        assert storage.layers.list() == (layer, other)
        with pytest.raises(AmbiguousError):
            storage.layers.get("ab")
        for key in ("", "nothing", "abc00", "ABC0", "abc\0"):
            with pytest.raises(NotFoundError):
                storage.layers.get(key)

    def test_names_move_and_are_unique(self, storage: Storage) -> None:
        """A taken name cannot be created, and can be given to another."""
        layers, containers, images = storage.layers, storage.containers, storage.images
        for kind in (layers, containers, images):
            first = kind.create(names=["a", "b"])
            with pytest.raises(AlreadyExistsError):
                kind.create(names=["new", "b"])
            with pytest.raises(NotFoundError):
                kind.get("new")
            second = kind.create(names=["c"])
            assert kind.add_names(second.id, ["b", "d"]).names == ("c", "b", "d")
            assert kind.get("b").id == second.id
            assert kind.get(first.id).names == ("a",)
            assert kind.set_names(second.id, ["a"]).names == ("a",)
            assert kind.get(first.id).names == ()
            assert kind.remove_names(second.id, ["a", "never"]).names == ()
            with pytest.raises(InvalidError):
                kind.add_names(second.id, ["line\nbreak"])
            with pytest.raises(LimitExceededError):
                kind.add_names(second.id, ["n" * (MAX_NAME_LENGTH + 1)])

    def test_ids_may_be_chosen(self, storage: Storage) -> None:
        """32 or 64 digits or anything that is one name; each once, also as a name of a file."""
        for kind in (storage.layers, storage.containers, storage.images):
            assert len(kind.create().id) == 64
            assert kind.create(id="0" * 32).id == "0" * 32
            with pytest.raises(AlreadyExistsError):
                kind.create(id="0" * 32)
            for wrong in ("", "..", "a/b", "-a", "a b", "a" * 129):
                with pytest.raises(InvalidError):
                    kind.create(id=wrong)

    def test_metadata_has_a_limit(self, storage: Storage) -> None:
        """What is larger is big data."""
        for kind in (storage.layers, storage.containers, storage.images):
            made = kind.create(metadata="m" * MAX_METADATA_SIZE)
            assert kind.set_metadata(made.id, "other").metadata == "other"
            with pytest.raises(LimitExceededError):
                kind.create(metadata="m" * (MAX_METADATA_SIZE + 1))
            with pytest.raises(LimitExceededError):
                kind.set_metadata(made.id, "\u00fc" * MAX_METADATA_SIZE)
            assert kind.get(made.id).metadata == "other"

    def test_big_data(self, storage: Storage) -> None:
        """Items are put, replaced, listed, read and deleted; they go with what has them."""
        stores: list[tuple[Callable[..., object], BigDataStore, str]] = [
            (storage.layers.delete, storage.layers.data, storage.layers.create().id),
            (storage.images.delete, storage.images.data, storage.images.create().id),
            (storage.containers.delete, storage.containers.data, storage.containers.create().id),
        ]
        for delete, data, id in stores:  # noqa: A001
            assert data.list(id) == ()
            data.put(id, "a key/with:anything", b"first")
            put_now = data.put(id, "a key/with:anything", io.BytesIO(b"x" * 3_000_000))
            assert (put_now.size, put_now.digest) == (3_000_000, Digest.of(b"x" * 3_000_000))
            data.put(id, "empty", b"")
            assert [item.name for item in data.list(id)] == ["a key/with:anything", "empty"]
            with data.open(id, "a key/with:anything") as stream:
                data.put(id, "a key/with:anything", b"second")
                assert stream.read(5) == b"xxxxx"
            assert data.get(id, "a key/with:anything") == b"second"
            data.delete(id, "empty")
            for call in (data.get, data.stat, data.delete):
                with pytest.raises(NotFoundError):
                    call(id, "empty")
            delete(id)
            with pytest.raises(NotFoundError):
                data.list(id)

    def test_images_have_digests_and_a_history(self, storage: Storage) -> None:
        """Each item whose name begins with `manifest` counts; so do names of before."""
        made = storage.images.create(names=["first"], created_at_ns=5, digest=Digest(UNKNOWN))
        assert made.created_at_ns == 5
        item = storage.images.data.put(made.id, "manifest-other", b"{}")
        storage.images.data.put(made.id, "signature", b"no manifest")
        storage.images.set_names(made.id, ["second"])
        found = storage.images.get("second")
        assert found.names_history[:2] == ("second", "first")
        assert set(found.digests) == {Digest(UNKNOWN), item.digest}
        assert storage.images.by_digest(item.digest) == (found,)
        assert storage.images.by_digest(Digest(UNKNOWN)) == (found,)

    def test_layers_are_found_by_what_they_hold(self, storage: Storage) -> None:
        """By diffID, by the digest of what came; parents do not matter."""
        data = tar(member("a", b"a"))
        packed = gzip.compress(data)
        one = storage.layers.put(io.BytesIO(packed))
        two = storage.layers.put(io.BytesIO(data), one.id)
        by_diff_id = storage.layers.by_diff_id(Digest.of(data))
        assert {layer.id for layer in by_diff_id} == {one.id, two.id}
        assert storage.layers.by_compressed_digest(Digest.of(packed)) == (one,)
        assert (one.compression, two.compression) == ("gzip", "none")
        assert (one.diff_size, one.compressed_size) == (len(data), len(packed))
        assert storage.layers.by_diff_id(Digest(UNKNOWN)) == ()

    def test_deleting_refuses_and_says_who_needs_it(self, storage: Storage) -> None:
        """Layers, images and containers keep what they stand on."""
        base = storage.layers.create(names=["base"])
        child = storage.layers.create("base")
        made = storage.images.create("base")
        container = storage.containers.create(layer="base")
        with pytest.raises(InUseError) as caught:
            storage.layers.delete("base")
        assert set(caught.value.users) == {
            f"layer {child.id}", f"layer {container.layer}", f"image {made.id}",
        }  # fmt: skip
        assert set(storage.layers.users("base")) == set(caught.value.users)
        with pytest.raises(InUseError) as caught:
            storage.layers.delete(container.layer)
        assert caught.value.users == (f"container {container.id}",)
        above = storage.images.create(container.layer)
        with pytest.raises(InUseError) as caught:
            storage.containers.delete(container.id, force=True)
        assert caught.value.users == (f"image {above.id}",)
        storage.images.delete(above.id)
        storage.containers.delete(container.id)
        storage.images.delete(made.id)
        storage.layers.delete(child.id)
        storage.layers.delete("base")
        assert storage.layers.list() == ()
        assert not storage.places.layer(base.id).exists()
        with pytest.raises(NotFoundError):
            storage.layers.delete("base")

    def test_many_children_and_images_of_one_layer(self, storage: Storage) -> None:
        """Any layer may have many; images of one layer differ in what belongs to them."""
        base = put(storage, member("a", b"a"))
        children = {storage.layers.create(base.id).id for _ in range(20)}
        images = {storage.images.create(base.id, metadata=f"{n}").id for n in range(20)}
        users = storage.layers.users(base.id)
        assert (set(users.layers), set(users.images)) == (children, images)
        assert {each.id for each in storage.images.by_layer(base.id)} == images

    def test_sizes(self, storage: Storage) -> None:
        """A layer's is that of its tar, an image's that of all of its layers and data."""
        made = image(storage, [member("a", b"a" * 5000)], [member("b", b"b")])
        tars = [len(tar(member("a", b"a" * 5000))), len(tar(member("b", b"b")))]
        assert storage.layers.size(made.layer or "") == tars[1]
        storage.images.data.put(made.id, "item", b"12345")
        assert storage.images.size(made.id) == sum(tars) + 5
        container = storage.containers.create(made.id)
        storage.containers.data.put(container.id, "item", b"123")
        empty = storage.containers.size(container.id)
        with storage.containers.mount(container.id) as path:
            (path / "new").write_bytes(b"n" * 10_000)
        assert 10_000 < storage.containers.size(container.id) - empty + 3 < 14_000

    def test_containers_have_directories(self, storage: Storage) -> None:
        """One that stays and one that goes with this boot; both go with the container."""
        container = storage.containers.create(names=["box"])
        umask = os.umask(0o077)
        try:
            places = [storage.containers.directory("box"), storage.containers.run_directory("box")]
        finally:
            os.umask(umask)
        for above in (storage.places.run, *places[1].parents[:3]):
            assert above.stat().st_mode & 0o777 == 0o711
        for path in places:
            (path / "file").write_text("x")
            assert path.stat().st_mode & 0o777 == 0o700
        assert storage.containers.by_layer(container.layer) == container
        storage.containers.delete("box")
        assert not any(path.exists() for path in places)
        with pytest.raises(NotFoundError):
            storage.layers.get(container.layer)
