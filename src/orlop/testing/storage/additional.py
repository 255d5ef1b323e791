"""Stores that are looked through after the own one, and only read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orlop.errors import AlreadyExistsError, NotFoundError, OrlopError
from orlop.testing.storage.base import StorageContractBase, image, member, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orlop.storage.storage import Storage


class AdditionalContract(StorageContractBase):
    """Additional stores."""

    @pytest.fixture
    def joined(self, open_storage: Callable[..., Storage]) -> Storage:
        """A store that has a full one beside it, with the image `base` and a written layer."""
        with open_storage("shared") as shared:
            made = image(shared, [member("f", b"shared")], [member("g", b"g")], name="base")
            written = shared.layers.create(made.layer, names=["written"])
            with shared.layers.mount("written") as path:
                (path / "w").write_text("written")
            shared.layers.create(names=["both"], metadata="shared")
            shared.images.data.put("base", "item", b"data")
            shared.layers.data.put(written.id, "item", b"of a layer")
        return open_storage(additional=["shared"])

    def test_what_is_there_is_found(self, joined: Storage) -> None:
        """By any key, and listed behind the own ones."""
        own = joined.layers.create(names=["own"])
        found = joined.layers.list()
        assert [each.additional for each in found] == [False, True, True, True, True]
        assert found[0] == own
        for key in ("written", joined.layers.get("written").id[:16]):
            assert joined.layers.get(key).additional
        made = joined.images.get("base")
        assert made.additional
        assert joined.images.list() == (made,)
        assert joined.images.data.get("base", "item") == b"data"
        assert joined.layers.data.get("written", "item") == b"of a layer"
        (top,) = joined.layers.by_diff_id(joined.layers.get(made.layer or "").diff_id)  # type: ignore[arg-type]
        assert top.additional

    def test_nothing_of_it_is_changed(self, joined: Storage, place: Path) -> None:
        """Not even by force."""
        made = joined.images.get("base")
        calls: list[Callable[[], object]] = [
            lambda: joined.layers.delete("written"),
            lambda: joined.layers.set_metadata("written", "x"),
            lambda: joined.layers.add_names("written", ["x"]),
            lambda: joined.layers.data.put("written", "x", b""),
            lambda: joined.images.delete("base"),
            lambda: joined.images.add_names("base", ["x"]),
            lambda: joined.layers.mount("written", read_only=False),
        ]
        before = snapshot(place / "shared")
        for call in calls:
            with pytest.raises(OrlopError):
                call()
        with pytest.raises(AlreadyExistsError):
            joined.layers.create(id=made.layer)
        assert snapshot(place / "shared") == before

    def test_own_ones_hide_it(self, joined: Storage) -> None:
        """A name or an ID means what the store itself has of it."""
        own = joined.layers.create(names=["both"], metadata="own")
        assert joined.layers.get("both") == own
        joined.layers.delete("both")
        assert joined.layers.get("both").metadata == "shared"

    def test_layers_and_containers_stand_on_it(self, joined: Storage, place: Path) -> None:
        """They are written to in the store itself, and shown over what lies there."""
        before = snapshot(place / "shared")
        container = joined.containers.create("base")
        layer = joined.layers.create("written")
        child = joined.layers.create(layer.id)
        for key in (container.layer, layer.id, child.id):
            if key != layer.id:
                with joined.layers.mount(key) as path:
                    assert (path / "f").read_text() == "shared"
                    (path / "f").write_text("mine")
                    (path / "g").unlink()
                assert {each.path for each in joined.layers.changes(key)} == {b"f", b"g"}
        with joined.layers.mount(layer.id, read_only=True) as path:
            assert sorted(os.listdir(path)) == ["f", "g", "w"]
        with joined.layers.mount("written") as path:
            assert (path / "w").read_text() == "written"
        with joined.layers.diff("written") as stream:
            assert stream.read()
        joined.containers.delete(container.id)
        assert snapshot(place / "shared") == before

    def test_a_container_of_its_image_is_committed(self, joined: Storage) -> None:
        """Into the store itself."""
        container = joined.containers.create("base")
        with joined.containers.mount(container.id) as path:
            (path / "new").write_text("new")
        made = joined.containers.commit(container.id, "committed")
        assert not made.additional
        with joined.layers.mount(made.layer or "", read_only=True) as path:
            assert sorted(os.listdir(path)) == ["f", "g", "new"]

    def test_tars_go_on_it(self, joined: Storage) -> None:
        """On layers that are tars; one that was written to stays what it is."""
        made = put(joined, member("t", b"t"), parent=joined.images.get("base").layer)
        with joined.layers.mount(made.id) as path:
            assert sorted(os.listdir(path)) == ["f", "g", "t"]
        with pytest.raises(OrlopError):
            put(joined, member("t", b"t"), parent="written")

    def test_it_has_to_be_named(
        self, joined: Storage, open_storage: Callable[..., Storage]
    ) -> None:
        """Without it what stands on it cannot be shown, and the message says so."""
        layer = joined.layers.create("written")
        joined.close()
        alone = open_storage()
        with pytest.raises(OrlopError, match="missing"):
            alone.layers.mount(layer.id)
        with pytest.raises(NotFoundError):
            alone.layers.get("written")


def snapshot(place: Path) -> dict[str, tuple[int, int]]:
    """The files below a directory, with size and time, but for the database's own."""
    found = {}
    for folder, _, names in os.walk(place):
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            if not name.startswith("orlop.db-"):
                found[os.path.join(folder, name)] = (status.st_size, status.st_mtime_ns)
    return found
