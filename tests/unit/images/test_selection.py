import pytest

from orlop.errors import NotFoundError
from orlop.images import children_handler, filter_platforms, limit_manifests
from orlop.mediatype import OCI_LAYER
from orlop.platform import Platform
from orlop.spec import Descriptor
from support.shelf import Shelf, without_platform

AMD64 = Platform.parse("linux/amd64")


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def below(shelf):
    return children_handler(shelf.content)


def test_other_platforms_are_left_out(shelf, below):
    mine, other, older = map(shelf.image, ("linux/amd64", "linux/arm64", "linux/386"))
    target = shelf.index(other, older, mine)
    assert filter_platforms(below, AMD64)(target) == (older, mine)
    both = filter_platforms(below, AMD64, Platform.parse("linux/arm64"))
    assert both(target) == (other, older, mine)


def test_what_says_no_platform_stays(shelf, below):
    silent = shelf.image("linux/s390x", said=False)
    target = shelf.index(silent)
    assert filter_platforms(below, AMD64)(target) == (silent,)
    assert filter_platforms(below, AMD64)(silent) == below(silent)


def test_attestations_are_for_no_platform(shelf, below):
    unknown = Platform(os="unknown", architecture="unknown")
    note = shelf.put(b"{}", "application/vnd.in-toto+json", platform=unknown)
    assert filter_platforms(below, AMD64)(shelf.index(note)) == ()


def test_without_platforms_all_stay(shelf, below):
    target = shelf.index(shelf.image("linux/s390x"))
    assert filter_platforms(below)(target) == below(target)


def test_filters_take_handlers_that_give_nothing():
    descriptor = Descriptor.of(OCI_LAYER, b"")
    assert filter_platforms(lambda each: None, AMD64)(descriptor) == ()
    assert limit_manifests(lambda each: None, AMD64, 1)(descriptor) == ()


def test_the_best_come_first_then_the_silent_then_the_rest(shelf, below):
    names = "linux/s390x", "linux/386", "linux/amd64", "linux/arm64"
    far, older, mine, farther = map(shelf.image, names)
    silent = without_platform(shelf.image("linux/amd64", b"other"))
    target = shelf.index(far, silent, older, mine, farther)
    assert limit_manifests(below, AMD64, 9)(target) == (mine, older, silent, far, farther)
    assert limit_manifests(below, AMD64, 1)(target) == (mine,)
    assert limit_manifests(below, AMD64, 2)(target) == (mine, older)


def test_equals_keep_their_order(shelf, below):
    first, second = shelf.image("linux/amd64", b"1"), shelf.image("linux/amd64", b"2")
    assert limit_manifests(below, AMD64, 1)(shelf.index(first, second)) == (first,)


def test_only_what_an_index_lists_is_limited(shelf, below):
    image = shelf.image()
    assert limit_manifests(below, AMD64, 1)(image) == below(image)
    assert len(below(image)) == 3


def test_nothing_left_of_an_index(shelf, below):
    target = shelf.index(shelf.image("linux/arm64"))
    handler = limit_manifests(filter_platforms(below, AMD64), AMD64, 1)
    with pytest.raises(NotFoundError, match=rf"{target.digest} has no image for linux/amd64"):
        handler(target)


@pytest.mark.parametrize("count", [0, -1])
def test_a_limit_of_none_at_all(below, count):
    with pytest.raises(ValueError, match=f"count must be at least 1, not {count}"):
        limit_manifests(below, AMD64, count)
