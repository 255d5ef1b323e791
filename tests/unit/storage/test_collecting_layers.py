"""`storage.collect` and `storage.usage` with layers, images and containers."""

import io
import os

import pytest

from orlop.digest import Digest
from orlop.metadata import Labels
from orlop.metadata.database import Transaction
from orlop.storage.collect import collect
from orlop.storage.usage import measure
from orlop.store import Store
from support.images import directory, file, tar


@pytest.fixture
def store(places):
    with Store(places, driver="vfs") as store:
        yield store


@pytest.fixture
def storage(store):
    return store.storage


def archive(name, data=b"x"):
    return io.BytesIO(tar(directory("d"), file(f"d/{name}", data)))


def files(places):
    return {
        os.path.relpath(os.path.join(folder, name), places.root)
        for folder, _, names in os.walk(places.root)
        for name in names
        if not name.startswith(("orlop.db", "reserve")) and not folder.endswith("locks")
    }


def test_what_layers_need_stays(storage, places):
    base = storage.layers.put(archive("base"))
    storage.layers.put(archive("top"), base.id)
    before = files(places)
    assert collect(storage).items == ()
    assert files(places) == before
    with storage.layers.mount(storage.layers.create(base.id).id) as path:
        assert (path / "d/base").read_bytes() == b"x"


def test_what_a_layer_needed_goes_with_it(storage, places):
    base = storage.layers.put(archive("base"), names=["base"])
    top = storage.layers.put(archive("top"), "base")
    storage.layers.delete(top.id)
    freed = collect(storage)
    assert (freed.blobs, freed.forms) == (1, 1)
    storage.layers.delete("base")
    collect(storage)
    assert files(places) == {"format.json"}
    assert base.diff_id is not None


def test_two_layers_of_one_tar(storage, places):
    """The form is kept by either of them."""
    one, two = (storage.layers.put(archive("same")) for _ in range(2))
    assert one.diff_id == two.diff_id
    storage.layers.delete(one.id)
    assert collect(storage).items == ()
    with storage.layers.diff(two.id) as stream:
        assert Digest.of(stream.read()) == two.diff_id


def test_a_container_keeps_the_image_that_it_was_made_from(store, storage, layout):
    store.pull(layout.source, tag="box", driver="erofs")
    container = storage.containers.create("box")
    store.remove("box", force=True)
    assert collect(storage).blobs == 0
    storage.containers.commit(container.id, "localhost/again:1")
    storage.containers.delete(container.id)
    collect(storage)
    assert store.image("localhost/again:1").read("/etc/motd") == b"hello\n"


def test_layers_of_an_image_go_with_its_last_user(store, storage, layout):
    store.pull(layout.source, tag="box", driver="erofs")
    layers = storage.layers.list()
    assert all(layer.pulled for layer in layers)
    on_it = storage.layers.create(layers[-1].id)
    below = [layer.id for layer in layers if layer.parent is None]
    store.remove("box")
    collect(storage)
    kept = {layer.id for layer in storage.layers.list()}
    assert {on_it.id, *below} <= kept
    storage.layers.delete(on_it.id)
    collect(storage)
    assert storage.layers.list() == ()


def test_names_and_data_of_layers_go_with_them(store, storage, layout):
    store.pull(layout.source, tag="box", driver="erofs")
    layer = storage.layers.list()[0]
    storage.layers.add_names(layer.id, ["named"])
    storage.layers.data.put(layer.id, "item", b"data")
    store.remove("box")
    collect(storage)
    assert storage.check().findings == ()
    with storage.database.read() as tx:
        for table in ("layers", "object_names", "big_data", "chain_layers"):
            assert tx.rows(f"SELECT * FROM {table}") == []


def fill(store, storage, layout, places):
    """Leftovers of every kind, beside what stays."""
    store.pull(layout.source, tag="box", driver="erofs")
    container = storage.containers.create("box", names=["web"])
    storage.containers.data.put("web", "item", b"i" * 5000)
    (storage.containers.directory("web") / "own").write_bytes(b"o" * 5000)
    for kind in ("layer", "image", "container"):
        place = places.object(kind, "gone")
        (place / "below").mkdir(parents=True)
        (place / "below/file").write_bytes(b"x" * 9000)
    frozen = storage.layers.put(archive("frozen"))
    (places.layer(frozen.id) / "diff").mkdir(parents=True)
    (places.layer(frozen.id) / "diff/file").write_bytes(b"f" * 9000)
    other = storage.layers.put(archive("other"), names=["other"])
    storage.layers.data.put("other", "item", b"d" * 5000)
    with storage.database.write() as tx:
        tx.execute("UPDATE layers SET frozen = 1, form = 'diff' WHERE id = ?", (frozen.id,))
        # As if it had come with an image that is gone.
        tx.execute("UPDATE layers SET pinned = 0 WHERE id = ?", (other.id,))
    return container


def test_a_plan_is_what_happens(store, storage, layout, places):
    container = fill(store, storage, layout, places)
    before = files(places)
    usage = measure(storage)
    planned = collect(storage, dry_run=True)
    assert files(places) == before
    done = collect(storage)
    assert done == planned
    assert done.leftovers == 5
    assert collect(storage).items == ()
    after = measure(storage)
    assert after.total == usage.total - done.size
    assert usage.written.reclaimable >= 18_000
    assert usage.data.reclaimable >= 18_000
    assert (after.written.reclaimable, after.data.reclaimable) == (0, 0)
    assert after.data.size >= 10_000
    assert storage.containers.data.get("web", "item") == b"i" * 5000
    assert (places.object("container", container.id) / "userdata/own").exists()


def test_an_image_that_expires_takes_its_notes_along(store, storage, layout, places):
    store.pull(layout.source, tag="box", driver="erofs")
    storage.images.data.put("box", "item", b"i" * 5000)
    with storage.database.write() as tx:
        label = "containerd.io/gc.expire", "2001-01-01T00:00:00Z"
        Labels(tx).set("image", "docker.io/library/box:latest", *label)
    planned = collect(storage, dry_run=True)
    done = collect(storage)
    assert done == planned
    collect(storage)
    assert files(places) == {"format.json"}
    with storage.database.read() as tx:
        assert tx.rows("SELECT * FROM stored_images") == tx.rows("SELECT * FROM big_data") == []


def test_nothing_to_do_costs_no_query_for_each(store, storage, layout, monkeypatch):
    store.pull(layout.source, tag="box", driver="erofs")
    collect(storage)
    run, asked = Transaction._run, []

    def counting(self, sql, values):
        asked.append(sql)
        return run(self, sql, values)

    def queries(count):
        for _ in range(count):
            layer = storage.layers.create(names=[os.urandom(4).hex()])
            storage.images.create(layer.id)
            storage.containers.create("box")
        with monkeypatch.context() as patch:
            patch.setattr(Transaction, "_run", counting)
            assert collect(storage).items == ()
        found = len(asked)
        asked.clear()
        return found

    assert queries(2) == queries(20) > 0
