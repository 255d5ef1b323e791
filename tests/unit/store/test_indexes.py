"""Indexes made and edited: one name for images of several platforms."""

import json
import shutil

import pytest

import orlop
from orlop.errors import (
    ConflictError,
    InvalidError,
    InvalidPlatformError,
    NotFoundError,
    UnsupportedError,
)
from orlop.spec import Descriptor, Index
from orlop.store.indexes import IndexDraft
from support.images import ImageBuilder, file, join_platforms

ARCHES = ("amd64", "arm64", "riscv64")
NOTE = "vnd.docker.reference.digest"


@pytest.fixture
def store(tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        yield store


@pytest.fixture
def images(store, tmp_path):
    """An image for each architecture, by that."""
    found = {}
    for arch in ARCHES:
        layout = (
            ImageBuilder(platform=("linux", arch)).layer(file(arch)).write(tmp_path / "l", arch)
        )
        found[arch] = store.pull(
            layout.source, tag=f"app:{arch}", platform=f"linux/{arch}", driver="directory"
        )
    return found


def listed(image):
    return [str(each.platform) for each in Index.decode(image.read_target()).manifests]


def test_an_index_lists_an_image_for_each_platform(store, images):
    made = store.make_index("app:1", ["app:amd64", images["arm64"]], annotations={"k": "v"})
    index = Index.decode(made.read_target())
    assert listed(made) == ["linux/amd64", "linux/arm64"]
    assert [each.digest for each in index.manifests] == [
        images[arch].target.digest for arch in ARCHES[:2]
    ]
    assert index.annotations == {"k": "v"}
    assert all(each.annotations == {} for each in index.manifests)  # no ref.name of a layout
    assert made.edit(platform="linux/arm64").config.platform.architecture == "arm64"
    again = store.make_index("app:2", ["app:amd64", "app:arm64"], annotations={"k": "v"})
    assert again.target.digest == made.target.digest


def test_it_keeps_its_images(store, images, tmp_path):
    store.make_index("app:1", ["app:amd64", "app:arm64"])
    for arch in ARCHES:
        store.remove(f"app:{arch}")
    store.collect(unfinished=True)
    orlop.copy("store:app:1", f"oci:{tmp_path / 'out'}:x", store=store, all_platforms=True)
    with orlop.open_store(tmp_path / "other", tmp_path / "other-run") as other:
        pulled = other.pull(
            f"oci:{tmp_path / 'out'}:x", tag="back:1", platform="linux/arm64", all_platforms=True,
            driver="directory",
        )  # fmt: skip
        assert [name for name, _ in pulled.list("/")] == [b"arm64"]
    assert images["riscv64"].target.digest not in {info.digest for info in store.content().walk()}


def test_entries_come_and_go(store, images):
    first = store.make_index("app:1", ["app:amd64"])
    draft = store.edit_index("app:1")
    more = draft.add("app:arm64", "app:riscv64", annotations={"a": "b"})
    assert draft.index == Index.decode(first.read_target())
    made = more.save()
    assert made.name == "docker.io/library/app:1"
    assert listed(made) == [f"linux/{arch}" for arch in ARCHES]
    assert more.index.manifests[1].annotations == {"a": "b"}
    newer = images["arm64"].with_config(user="1").save("app:arm64-2")
    draft = store.edit_index("app:1").add(newer).remove("riscv64")
    made = draft.save("app:2")
    assert listed(made) == ["linux/amd64", "linux/arm64"]
    assert draft.index.manifests[1].digest == newer.target.digest
    assert draft.remove(newer.target.digest).index.manifests == draft.index.manifests[:1]
    assert listed(store.image("app:1")) == [f"linux/{arch}" for arch in ARCHES]
    with pytest.raises(NotFoundError, match="no entry 'linux/s390x'") as caught:
        draft.remove("linux/s390x")
    assert "linux/amd64, linux/arm64" in caught.value.hint
    with pytest.raises(InvalidPlatformError):
        draft.remove("a/b/c/d")


def test_annotations(store, images):
    store.make_index("app:1", ["app:amd64", "app:arm64"], annotations={"x": "1", "y": "1"})
    draft = store.edit_index("app:1").annotate({"z": "2"}, remove=["x"])
    draft = draft.annotate({"of": "arm"}, platform="linux/arm64")
    index = Index.decode(draft.save().read_target())
    assert index.annotations == {"y": "1", "z": "2"}
    assert [each.annotations for each in index.manifests] == [{}, {"of": "arm"}]
    with pytest.raises(NotFoundError):
        draft.annotate({"a": "b"}, platform="windows/amd64")
    with pytest.raises(InvalidError):
        draft.annotate({"": "b"})


def test_two_images_for_one_platform_are_refused(store, images):
    images["amd64"].with_config(user="1").save("app:other")
    with pytest.raises(InvalidError, match="two images are for linux/amd64"):
        store.make_index("app:1", ["app:amd64", "app:other"])
    with pytest.raises(NotFoundError):
        store.make_index("app:1", ["app:amd64", "nowhere:1"])
    with pytest.raises(NotFoundError):
        store.image("app:1")


@pytest.fixture
def several(store, tmp_path):
    """An index with an attestation, as it was pulled."""
    place = tmp_path / "all"
    for arch in ARCHES[:2]:
        ImageBuilder(platform=("linux", arch)).layer(file(arch)).write(place, arch)
    join_platforms(place)
    return f"oci:{place}:all"


def test_of_an_index_one_image_is_listed_or_all(store, images, several):
    store.pull(several, tag="all:1", platform="linux/amd64", all_platforms=True, driver="directory")
    assert listed(store.make_index("one:1", ["all:1"])) == ["linux/amd64"]
    both = store.make_index("two:1", ["all:1", "app:riscv64"], all_platforms=True)
    assert listed(both) == [f"linux/{arch}" for arch in ARCHES]
    arm = store.edit_index("one:1").add("all:1", platform="linux/arm64").save()
    assert listed(arm) == ["linux/amd64", "linux/arm64"]


def test_what_is_not_stored_is_not_listed(store, several):
    store.pull(several, tag="all:1", platform="linux/amd64", driver="directory")
    with pytest.raises(NotFoundError, match="image for linux/arm64"):
        store.make_index("two:1", ["all:1"], all_platforms=True)
    with pytest.raises(NotFoundError):
        store.edit_index("all:1").annotate({"a": "b"}).save("all:2")
    assert listed(store.edit_index("all:1").remove("linux/arm64").save("all:2")) == ["linux/amd64"]


def test_what_tells_of_an_entry_goes_with_it(store, images):
    made = store.make_index("app:1", ["app:amd64", "app:arm64"])
    amd64, arm64 = Index.decode(made.read_target()).manifests
    with store.lease("attestation") as lease:
        digest = store.content(lease).put(b"{}")
        note = Descriptor(
            media_type="application/vnd.oci.image.manifest.v1+json", digest=digest, size=2,
            annotations={"vnd.docker.reference.type": "attestation-manifest", NOTE: amd64.digest},
        )  # fmt: skip
        draft = IndexDraft(storage=store.storage, index=Index(manifests=(amd64, arm64, note)))
        assert draft.remove("linux/arm64").index.manifests == (amd64, note)
        assert draft.remove("linux/amd64").index.manifests == (arm64,)
        newer = images["amd64"].with_config(user="1").save("app:new")
        assert [each.digest for each in draft.add(newer).index.manifests] == [
            arm64.digest, newer.target.digest,
        ]  # fmt: skip


def test_a_list_of_dockers_becomes_an_index_where_it_must(store, images):
    docker = "application/vnd.docker.distribution.manifest.list.v2+json"
    draft = IndexDraft(storage=store.storage, index=Index(manifests=(), media_type=docker))
    with pytest.raises(UnsupportedError, match="no annotations"):
        draft.annotate({"a": "b"})
    assert draft.add("app:amd64").index.media_type == "application/vnd.oci.image.index.v1+json"


def test_unknown_fields_are_kept(store, images):
    document = {"schemaVersion": 2, "manifests": [], "x-own": {"a": [1]}}
    index = Index.decode(json.dumps(document).encode())
    made = IndexDraft(storage=store.storage, index=index).add("app:arm64").save("own:1")
    assert json.loads(made.read_target())["x-own"] == {"a": [1]}


def test_a_name_moves_only_from_what_was_edited(store, images):
    store.make_index("app:1", ["app:amd64"])
    first, second = (store.edit_index("app:1").add(f"app:{arch}") for arch in ARCHES[1:])
    first.save()
    with pytest.raises(ConflictError, match="moved meanwhile"):
        second.save()
    assert listed(store.image("app:1")) == ["linux/amd64", "linux/arm64"]
    assert listed(second.save(force=True)) == ["linux/amd64", "linux/riscv64"]


def test_an_image_is_no_index(store, images):
    with pytest.raises(UnsupportedError, match="is one image, and no index"):
        store.edit_index("app:amd64")
    with pytest.raises(ValueError, match="needs a name"):
        IndexDraft(storage=store.storage, index=Index(manifests=())).save()
    made = store.make_index("app:amd64", ["app:amd64", "app:arm64"])
    assert listed(made) == ["linux/amd64", "linux/arm64"]
    assert store.image("app:amd64").manifest.raw == images["amd64"].manifest.raw


def test_a_stored_index_stands_for_another_of_its_images(store, images):
    """As after a pull, of what is here."""
    made = store.make_index("app:1", ["app:amd64", "app:arm64"])
    for arch in ("arm64", "amd64", "arm64"):
        chosen = store.image("app:1").of_platform(f"linux/{arch}")
        assert chosen.id == images[arch].id == store.image("app:1").id
        assert chosen.target == made.target
        assert chosen.manifest == images[arch].manifest
        assert chosen.of_platform() is chosen
    with pytest.raises(NotFoundError, match="no image for linux/s390x") as caught:
        store.image("app:1").of_platform("linux/s390x")
    assert "linux/arm64" in caught.value.hint
    with pytest.raises(InvalidPlatformError):
        store.image("app:1").of_platform("no platform/")
    assert store.image("app:1").id == images["arm64"].id


def test_one_image_is_for_its_platform_alone(store, images):
    assert images["arm64"].of_platform("linux/arm64") is images["arm64"]
    with pytest.raises(NotFoundError, match="here for linux/arm64, and not for linux/amd64"):
        images["arm64"].of_platform("linux/amd64")


def test_no_container_is_made_of_an_index_without_an_image_for_this_machine(store, images):
    store.make_index("other:1", ["app:riscv64"])
    with pytest.raises(NotFoundError, match="has no image for this machine"):
        store.containers.create("other:1")
    store.image("other:1").of_platform("linux/riscv64")
    store.containers.delete(store.containers.create("other:1").id)


def test_what_is_not_all_here_is_not_chosen(store, images):
    made = store.make_index("app:1", ["app:amd64", "app:arm64"])
    lost = images["arm64"].manifest.layers[0].digest
    (store.root / "blobs" / lost.replace(":", "/")).unlink()
    form = store.root / "forms" / images["arm64"].config.diff_ids[0].replace(":", "/")
    shutil.rmtree(form)
    with pytest.raises(NotFoundError):
        store.image("app:1").of_platform("linux/arm64")
    assert store.image("app:1").id == made.id


def test_a_name_that_was_removed_or_moved_is_not_given_again(store, images):
    made = store.make_index("app:1", ["app:amd64", "app:arm64"])
    other = "linux/arm64" if made.platform.architecture == "amd64" else "linux/amd64"
    store.remove("app:1")
    with pytest.raises(ConflictError):
        made.of_platform(other)
    store.tag("app:riscv64", "app:1")
    with pytest.raises(ConflictError):
        made.of_platform(other)
    assert store.image("app:1").id == images["riscv64"].id
