"""What a key means: the exact ID, then the name, then a unique prefix of an ID."""

import pytest

from orlop.errors import AlreadyExistsError, AmbiguousError, NotFoundError
from orlop.storage.keys import find_any, find_object
from orlop.storage.places import Places
from orlop.storage.storage import Storage


def made(storage, kind):
    return {
        "layer": storage.layers.create,
        "image": storage.images.create,
        "container": storage.containers.create,
    }[kind]


KINDS = ["layer", "image", "container"]


@pytest.mark.parametrize("kind", KINDS)
def test_order(storage, kind):
    create = made(storage, kind)
    create(id="abc", names=["named", "abd"])
    create(id="abd", names=["ab"])
    create(id="abde")
    keys = {"abc": "abc", "abd": "abd", "ab": "abd", "named": "abc", "abde": "abde"}
    assert {key: find_object(storage, kind, key)[1] for key in keys} == keys
    with pytest.raises(AmbiguousError) as caught:
        find_object(storage, kind, "a")
    assert caught.value.candidates == ("abc", "abd", "abde")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["", "x", "\n", "a\0", "%", "_", "*", "named\n", "\U0010ffff", "é"])
def test_what_means_nothing(storage, kind, key):
    made(storage, kind)(id="abc", names=["named"])
    with pytest.raises(NotFoundError, match=f"no {kind} is called"):
        find_object(storage, kind, key)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_names_that_are_taken(storage, kind):
    create = made(storage, kind)
    create(id="one", names=["a"])
    for wrong in ({"id": "one"}, {"names": ["new", "a"]}):
        with pytest.raises(AlreadyExistsError):
            create(**wrong)
    with pytest.raises(NotFoundError):
        find_object(storage, kind, "new")
    create(id="a2", names=["one"])  # a name may be what another's ID is; the ID comes first
    assert find_object(storage, kind, "one")[1] == "one"


def test_kinds_are_apart(storage):
    for kind in KINDS:
        made(storage, kind)(id="same", names=["name"])
    assert find_any(storage, "name") == [(kind, "same") for kind in KINDS]
    assert find_any(storage, "nothing") == []


def test_a_store_comes_before_its_additional_ones(storage, tmp_path):
    other = Places(tmp_path / "other", tmp_path / "run")
    with Storage.open(other) as there:
        there.layers.create(id="aaa", names=["both", "there"])
        there.images.create(id="there-alone")
        there.containers.create(id="theirs")
    storage.layers.create(id="aab", names=["both"])
    with Storage.open(storage.places, additional=[other]) as both:
        assert find_object(both, "layer", "both") == (both, "aab")
        assert find_object(both, "layer", "there") == (both.additional[0], "aaa")
        assert find_object(both, "layer", "aa") == (both, "aab")
        assert both.images.get("there").additional
        with pytest.raises(NotFoundError):
            find_object(both, "container", "theirs")
        with pytest.raises(AlreadyExistsError):
            both.layers.create(id="aaa")
