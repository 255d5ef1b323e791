"""What one image has otherwise than another."""

import io
import tarfile

import pytest

import orlop
from orlop.errors import NotFoundError
from support.images import ImageBuilder, directory, file, hardlink, symlink, tar, whiteout


@pytest.fixture
def store(tmp_path):
    old = ImageBuilder().layer(
        directory("d"), file("d/same", b"same"), file("d/gone", b"x"), file("d/other", b"old"),
        directory("all"), file("all/a"), file("all/b"), file("kind", b"x"), symlink("l", "a"),
    )  # fmt: skip
    old.layer(file("later", b"1"))
    new = ImageBuilder(compression="zstd").layer(
        directory("d"), file("d/same", b"same"), file("d/other", b"new"), file("d/added", b"+"),
        directory("all"), directory("kind"), file("kind/in", b"y"), symlink("l", "b"),
        file("later", b"1"), file("made", b"m"), hardlink("twin", "made"),
    )  # fmt: skip
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        for tag, builder in (("old", old), ("new", new)):
            source = builder.write(tmp_path / "layout", tag).source
            store.pull(source, tag=f"{tag}:1", driver="directory")
        yield store


def test_changes_whatever_the_layers(store):
    found = [(each.kind[0], each.path.decode()) for each in store.diff("old:1", "new:1").changes()]
    assert found == [
        ("d", "all/a"), ("d", "all/b"), ("a", "d/added"), ("d", "d/gone"), ("m", "d/other"),
        ("m", "kind"), ("a", "kind/in"), ("m", "l"), ("a", "made"), ("a", "twin"),
    ]  # fmt: skip
    assert store.diff("old:1", "old:1").changes() == ()


@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
def test_the_tar_makes_the_one_of_the_other(store, compress):
    with store.diff("old:1", "new:1").open(compress=compress) as stream:
        data = stream.read()
    made = store.image("old:1").append(data).save("made:1")
    assert store.diff(made.name, "new:1").changes() == ()
    assert made.read("/twin") == b"m"


def test_nothing_makes_an_empty_tar(store):
    store.image("old:1").flatten().save("flat:1")
    with store.diff("old:1", "flat:1").open() as stream:
        data = io.BytesIO(stream.read())
    with tarfile.open(fileobj=data) as archive:
        assert archive.getnames() == []


def test_a_store_that_is_only_read(store):
    with orlop.open_store(store.root, store.run, read_only=True) as other:
        assert len(other.diff("old:1", "new:1").changes()) == 10


def test_layers_that_were_never_unpacked(store, tmp_path):
    """Those of another platform are unpacked for it, and verified."""
    from support.images import join_platforms

    place = tmp_path / "all"
    for arch in ("amd64", "arm64"):
        ImageBuilder(platform=("linux", arch)).layer(file(arch)).write(place, arch)
    join_platforms(place)
    store.pull(f"oci:{place}:all", tag="all:1", platform="linux/amd64", all_platforms=True,
               driver="directory")  # fmt: skip
    arm = (
        store.image("all:1").edit(platform="linux/arm64").append(tar(whiteout("arm64"), file("z")))
    )
    arm.save("arm:1")
    found = store.diff("all:1", "arm:1", platform="linux/arm64").changes()
    assert [(each.kind, each.path) for each in found] == [("delete", b"arm64"), ("add", b"z")]
    with pytest.raises(NotFoundError):
        store.diff("all:1", "none:1")
