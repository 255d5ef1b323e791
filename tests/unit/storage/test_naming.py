"""What layers, images and containers may be called, and what may be noted about them."""

import itertools
import re

import pytest

from orlop.errors import AlreadyExistsError, InvalidError, LimitExceededError
from orlop.storage.naming import (
    MAX_METADATA_SIZE,
    MAX_NAME_LENGTH,
    MAX_NAMES,
    change_names,
    check_id,
    check_metadata,
    check_names,
    new_id,
    require_free,
)


def test_new_ids_are_digits_that_no_shell_takes_for_a_number():
    found = {new_id() for _ in range(2000)}
    assert len(found) == 2000
    assert all(re.fullmatch("[0-9a-f]{64}", each) for each in found)
    assert not [each for each in found if each[:12].isdecimal()]


@pytest.mark.parametrize("id", ["a", "0" * 32, "f" * 64, "a.b_c-d", "A" * 128, "1"])
def test_ids(id):  # noqa: A002
    assert check_id(id) == id


@pytest.mark.parametrize(
    "id", ["", ".", "..", "-a", "_a", "a/b", "a" * 129, "a\n", "ä", "a b", "a\0", "\u0661"]
)
def test_what_cannot_be_an_id(id):  # noqa: A002
    with pytest.raises(InvalidError, match="cannot be an ID"):
        check_id(id)


def test_names_are_given_once_in_their_order():
    assert check_names(["b", "a", "b", "Ä /:@", "a"]) == ("b", "a", "Ä /:@")
    assert check_names(["x" * MAX_NAME_LENGTH]) == ("x" * MAX_NAME_LENGTH,)
    assert len(check_names(str(each) for each in range(MAX_NAMES))) == MAX_NAMES


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[31m", "\u202e", "a\x85"])
def test_what_cannot_be_a_name(name):
    with pytest.raises(InvalidError, match="cannot be a name"):
        check_names(["good", name])


def test_limits():
    with pytest.raises(LimitExceededError) as caught:
        check_names(["x" * (MAX_NAME_LENGTH + 1)])
    assert (caught.value.limit, caught.value.value) == ("MAX_NAME_LENGTH", MAX_NAME_LENGTH)
    with pytest.raises(LimitExceededError) as caught:
        check_names(map(str, itertools.chain(range(MAX_NAMES + 1))))
    assert (caught.value.limit, caught.value.value) == ("MAX_NAMES", MAX_NAMES)
    assert check_metadata("ä" * (MAX_METADATA_SIZE // 2))
    with pytest.raises(LimitExceededError) as caught:
        check_metadata("ä" * (MAX_METADATA_SIZE // 2) + "x")  # it is bytes that count
    assert (caught.value.limit, caught.value.value) == ("MAX_METADATA_SIZE", MAX_METADATA_SIZE)


def test_names_are_unique_in_their_kind(storage):
    with storage.database.write() as tx:
        assert change_names(tx, "layer", "one", add=["a", "b"]) == ("a", "b")
        assert change_names(tx, "layer", "two", add=["b"]) == ("b",)
        assert change_names(tx, "layer", "one", add=["c"], remove=["a", "b"]) == ("c",)
        assert change_names(tx, "layer", "two") == ("b",)  # it was not that one's any more
        require_free(tx, "container", ["b"])
        require_free(tx, "layer", ["a"])
        with pytest.raises(AlreadyExistsError, match="is that of layer two"):
            require_free(tx, "layer", ["a", "b"])


def test_there_are_no_more_names_than_the_limit_however_they_come(storage):
    layer = storage.layers.create(names=map(str, range(MAX_NAMES)))
    with pytest.raises(LimitExceededError, match="MAX_NAMES"):
        storage.layers.add_names(layer.id, ["one more"])
    assert len(storage.layers.get(layer.id).names) == MAX_NAMES
    assert storage.layers.remove_names(layer.id, ["7"]).names[7] == "8"
    assert len(storage.layers.add_names(layer.id, ["one more"]).names) == MAX_NAMES


def test_a_container_has_no_more_metadata_than_the_limit(storage):
    container = storage.containers.create(metadata="x" * MAX_METADATA_SIZE)
    for text in ("y" * (MAX_METADATA_SIZE + 1),):
        with pytest.raises(LimitExceededError):
            storage.containers.set_metadata(container.id, text)
        with pytest.raises(LimitExceededError):
            storage.containers.create(metadata=text)
        with pytest.raises(LimitExceededError):
            storage.layers.create(metadata=text)
        with pytest.raises(LimitExceededError):
            storage.images.create(metadata=text)
    assert storage.containers.get(container.id).metadata[0] == "x"
    assert len(storage.containers.list()) == 1


def test_one_text_is_no_list_of_names():
    with pytest.raises(TypeError, match="'abc'"):
        check_names("abc")
