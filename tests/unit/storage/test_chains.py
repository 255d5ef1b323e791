import io
import os

import pytest

from orlop.digest import Digest, chain_id, empty_digest
from orlop.errors import NotFoundError
from orlop.fsimage.erofs import ErofsReader
from orlop.metadata import Chains
from orlop.storage import chains as module
from orlop.storage.chains import INDEX, ROOTFS, Stack, index_uuid
from support.images import directory, file, tar

LAYERS = [
    tar(directory("etc"), file("etc/hostname", b"one\n"), file("gone", b"x")),
    tar(directory("etc"), file("etc/hostname", b"two\n"), file(".wh.gone")),
]


@pytest.fixture
def stack(build):
    return Stack.of([build(layer) for layer in LAYERS])


def index_of(storage, stack):
    output = io.BytesIO()
    storage.chains.write_index(stack, output)
    return output.getvalue()


def test_a_stack_is_named_by_its_chain_id():
    diff_ids = [Digest.of(layer) for layer in LAYERS]
    assert Stack.of(diff_ids).chain_id == chain_id(diff_ids)
    assert Stack.of(diff_ids[:1]).chain_id == diff_ids[0]
    assert Stack.of([]).chain_id == empty_digest()


def test_the_tree_is_merged(storage, stack):
    root = storage.chains.tree(stack)
    assert sorted(root.children) == [b"etc"]
    assert root.children[b"etc"].children[b"hostname"].source == stack.diff_ids[1]


def test_an_index_is_the_same_every_time(storage, stack, lease):
    path = storage.chains.build_index(stack, lease)
    first = path.read_bytes()
    assert storage.chains.build_index(stack, lease).read_bytes() == first
    assert index_of(storage, stack) == first


def test_the_uuid_follows_from_chain_and_version(storage, stack, monkeypatch):
    uuid = index_uuid(stack)
    assert len(uuid) == 16
    assert (uuid[6] >> 4, uuid[8] >> 6) == (8, 2)
    assert uuid in index_of(storage, stack)[:2048]
    assert index_uuid(Stack.of(stack.diff_ids)) == uuid
    assert index_uuid(Stack.of(stack.diff_ids[:1])) != uuid
    monkeypatch.setattr(module, "WRITER_VERSION", 99)
    assert index_uuid(stack) != uuid


def test_the_index_reads_out_of_the_tars(storage, stack, lease):
    index = storage.chains.build_index(stack, lease).read_bytes()
    tars = [path.read_bytes() for path in storage.chains.devices(stack)]
    reader = ErofsReader(
        lambda offset, size: index[offset : offset + size],
        [lambda offset, size, tar=tar: tar[offset : offset + size] for tar in tars],
    )
    with reader.open(reader.lookup(b"/etc/hostname")) as found:
        assert found.read() == b"two\n"


def test_an_index_is_found_once_it_is_built(storage, stack, lease):
    assert storage.chains.find(stack, INDEX) is None
    path = storage.chains.build_index(stack, lease)
    assert storage.chains.find(stack, INDEX) == path


def test_an_index_of_another_boot_is_built_again_unless_it_was_synced(
    storage, stack, lease, restart
):
    path = storage.chains.build_index(stack, lease)
    restart()
    assert storage.chains.find(stack, INDEX) is None
    with storage.database.write() as tx:
        tx.execute("UPDATE chains SET durable = 1")
    assert storage.chains.find(stack, INDEX) == path


def test_an_index_of_another_writer_is_built_again(storage, stack, lease, monkeypatch):
    storage.chains.build_index(stack, lease)
    monkeypatch.setattr(module, "WRITER_VERSION", module.WRITER_VERSION + 1)
    assert storage.chains.find(stack, INDEX) is None
    storage.chains.build_index(stack, lease)
    assert storage.chains.find(stack, INDEX) is not None
    with storage.database.read() as tx:
        assert Chains(tx).get(stack.chain_id, INDEX).writer_version == module.WRITER_VERSION


def test_an_index_that_is_missing_or_cut_short_is_built_again(storage, stack, lease):
    path = storage.chains.build_index(stack, lease)
    os.truncate(path, 100)
    assert storage.chains.find(stack, INDEX) is None
    path.unlink()
    assert storage.chains.find(stack, INDEX) is None


def test_a_directory(storage, stack, lease):
    path = storage.chains.build_rootfs(stack, lease, ownership=os.geteuid() == 0)
    assert (path / "etc/hostname").read_bytes() == b"two\n"
    assert not (path / "gone").exists()
    assert storage.chains.find(stack, ROOTFS) == path


def test_a_directory_takes_the_place_of_another(storage, stack, lease):
    path = storage.chains.build_rootfs(stack, lease, ownership=False)
    (path / "foreign").write_text("x")
    storage.chains.build_rootfs(stack, lease, ownership=False)
    assert not (path / "foreign").exists()
    assert os.listdir(storage.places.staging) == []


def test_a_stack_of_nothing(storage, lease):
    stack = Stack.of([])
    assert storage.chains.tree(stack).children == {}
    path = storage.chains.build_index(stack, lease)
    assert storage.chains.find(stack, INDEX) == path


def test_a_missing_layer(storage, lease):
    stack = Stack.of([Digest.of(b"nothing")])
    for build in (storage.chains.build_index, storage.chains.build_top):
        with pytest.raises(NotFoundError):
            build(stack, lease)
    assert os.listdir(storage.places.staging) == []


def test_a_layer_that_comes_twice_is_one_device(storage, build):
    one, two = (build(layer) for layer in LAYERS)
    assert len(storage.chains.devices(Stack.of([one, two, one]))) == 2
