"""What images are called in a layout's index, and in a docker-archive."""

from orlop.digest import Digest
from orlop.layout.index import without_ref_name
from orlop.layout.write import NamedImage
from orlop.layout.write.named import with_images
from orlop.mediatype import OCI_MANIFEST
from orlop.spec.descriptor import Descriptor
from orlop.spec.index import Index
from orlop.spec.layout import CONTAINERD_NAME, REF_NAME

EMPTY = Index(manifests=())


def target(content, **annotations):
    return Descriptor(
        media_type=OCI_MANIFEST, digest=Digest.of(content), size=7, annotations=annotations
    )


def written(*images, index=EMPTY):
    """The index with the images as (digest, name of containerd's, ref.name), and the notes."""
    index, notes = with_images(index, images)
    return [
        (each.digest, each.annotations.get(CONTAINERD_NAME), each.annotations.get(REF_NAME))
        for each in index.manifests
    ], notes


A, B = Digest.of(b"a"), Digest.of(b"b")


def test_a_full_name_is_written_whole_and_as_its_tag():
    image = NamedImage(target=target(b"a"), names=("quay.io/org/app:1",))
    assert written(image) == ([(A, "quay.io/org/app:1", "1")], [])


def test_each_name_has_a_descriptor():
    image = NamedImage(
        target=target(b"a"), names=("quay.io/app:1", "quay.io/app:2"), tags=("mine",)
    )
    assert written(image)[0] == [
        (A, "quay.io/app:1", "1"),
        (A, "quay.io/app:2", "2"),
        (A, None, "mine"),
    ]


def test_a_tag_of_another_repository_is_left_to_it():
    first = NamedImage(target=target(b"a"), names=("quay.io/one:latest",))
    second = NamedImage(target=target(b"b"), names=("quay.io/two:latest",))
    found, notes = written(first, second)
    assert found == [
        (A, "quay.io/one:latest", "latest"),
        (B, "quay.io/two:latest", "quay.io/two:latest"),
    ]
    assert len(notes) == 1
    assert "quay.io/two:latest" in notes[0]


def test_a_tag_of_another_of_these_images_is_left_to_it():
    first = NamedImage(target=target(b"a"), names=("quay.io/one:v1",))
    second = NamedImage(target=target(b"b"), tags=("v1",))
    for images in ((first, second), (second, first)):
        found, notes = written(*images)
        assert sorted(found, key=str) == sorted(
            [(A, "quay.io/one:v1", "quay.io/one:v1"), (B, None, "v1")], key=str
        )
        assert len(notes) == 1


def test_of_two_images_of_one_tag_the_first_has_it_and_none_is_lost():
    images = [NamedImage(target=target(each), tags=("v1",)) for each in (b"a", b"b")]
    found, notes = written(*images)
    assert found == [(A, None, "v1"), (B, None, None)]
    assert str(B) in notes[0]


def test_a_name_has_one_meaning_when_its_tag_has_become_free():
    images = [
        NamedImage(target=target(b"a"), names=("quay.io/one:1",)),
        NamedImage(target=target(b"b"), names=("quay.io/two:1",)),
    ]
    index, _ = with_images(EMPTY, images)
    index = without_ref_name(index, "1")
    assert written(NamedImage(target=target(b"c"), names=("quay.io/two:1",)), index=index)[0] == [
        (Digest.of(b"c"), "quay.io/two:1", "1")
    ]


def test_a_name_that_is_taken_moves():
    index, _ = with_images(EMPTY, [NamedImage(target=target(b"a"), names=("quay.io/one:1",))])
    image = NamedImage(target=target(b"b"), names=("quay.io/one:1",))
    assert written(image, index=index) == ([(B, "quay.io/one:1", "1")], [])


def test_a_tag_that_is_taken_moves():
    index, _ = with_images(EMPTY, [NamedImage(target=target(b"a"), tags=("v1",))])
    assert written(NamedImage(target=target(b"b"), tags=("v1",)), index=index)[0] == [
        (B, None, "v1")
    ]


def test_an_image_without_a_name_comes_once():
    image = NamedImage(target=target(b"a"))
    assert written(image, image) == ([(A, None, None)], [])


def test_names_that_its_place_gave_do_not_come_along():
    old = {CONTAINERD_NAME: "quay.io/old:1", REF_NAME: "old", "other": "kept"}
    index, _ = with_images(EMPTY, [NamedImage(target=target(b"a", **old), tags=("new",))])
    assert index.manifests[0].annotations == {"other": "kept", REF_NAME: "new"}


def test_tags_become_full_names_where_a_form_has_no_others():
    image = NamedImage(target=target(b"a"), tags=("v1", "v2"), fallback="localhost/place:v1")
    assert image.full_names == ("localhost/place:v1", "localhost/place:v2")
    assert NamedImage(target=target(b"a"), fallback="localhost/place:v1").full_names == ()


def test_one_of_many_names_is_not_looked_for_among_all():
    """An archive of a megabyte can give an image so many; each against each would take minutes."""
    names = tuple(f"docker.io/library/a:t{number}" for number in range(20_000))
    index, notes = with_images(EMPTY, [NamedImage(target=target(b"a"), names=names)])
    assert [each.annotations[CONTAINERD_NAME] for each in index.manifests] == list(names)
    assert notes == []
    assert with_images(index, [NamedImage(target=target(b"a"), names=names)]) == (index, [])
