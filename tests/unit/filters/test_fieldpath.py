import pytest

from orlop.errors import InvalidError, LimitExceededError
from orlop.filters import (
    MAX_LABEL_SIZE,
    FieldPath,
    apply_labels,
    check_labels,
    labels_value,
    parse_fieldpath,
)
from orlop.filters.labels import MAX_LABELS

OLD = {"a": "1", "b": "2", "x.y/z": "3"}


@pytest.mark.parametrize(
    ("paths", "new", "expected"),
    [
        ((), {"c": "4"}, {"c": "4"}),
        (("labels",), {"c": "4"}, {"c": "4"}),
        (("labels",), {"c": "4", "d": ""}, {"c": "4"}),
        (("labels.a",), {"a": "9", "b": "9"}, {"a": "9", "b": "2", "x.y/z": "3"}),
        (("labels.c",), {"c": "4"}, {**OLD, "c": "4"}),
        (("labels.x.y/z",), {"x.y/z": "9"}, {**OLD, "x.y/z": "9"}),
        (("labels.a",), {"b": "9"}, {"b": "2", "x.y/z": "3"}),
        (("labels.a",), {"a": ""}, {"b": "2", "x.y/z": "3"}),
        (("labels.none",), {}, OLD),
        (("labels.a", "labels.b"), {"a": "9"}, {"a": "9", "x.y/z": "3"}),
        (("labels.a", "labels"), {"c": "4"}, {"c": "4"}),
        (("labels..",), {".": "dot"}, {**OLD, ".": "dot"}),
    ],
)
def test_labels_are_updated(paths, new, expected):
    assert apply_labels(OLD, new, *paths) == expected


@pytest.mark.parametrize(
    "path",
    ["", ".", ".a", "labels.", "name", "createdat", "Labels", "label.a", "labelsx", " labels"],
)
def test_other_fields_cannot_be_updated(path):
    with pytest.raises(InvalidError, match="no field that can be updated") as caught:
        apply_labels(OLD, {}, "labels.a", path)
    assert caught.value.hint == "use one of labels, labels.KEY"


def test_further_fields_are_named_by_their_owner():
    known = {"maps": ("labels", "annotations"), "fields": ("target",)}
    assert parse_fieldpath("target", **known) == FieldPath(field="target")
    assert parse_fieldpath("annotations.a.b", **known) == FieldPath(field="annotations", key="a.b")
    assert str(parse_fieldpath("annotations.a.b", **known)) == "annotations.a.b"
    with pytest.raises(InvalidError):
        parse_fieldpath("target.size", **known)


def test_label_values_that_are_empty_are_not_kept():
    assert check_labels({"a": "", "b": "1", "": ""}) == {"b": "1"}


def test_label_and_value_have_a_limit_in_bytes():
    value = "é" * (MAX_LABEL_SIZE // 2 - 2)
    assert check_labels({"keys": value}) == {"keys": value}
    with pytest.raises(LimitExceededError) as caught:
        check_labels({"keys.": value})
    assert caught.value.limit == "MAX_LABEL_SIZE"


def test_number_of_labels_has_a_limit():
    labels = {str(number): "x" for number in range(MAX_LABELS)}
    assert check_labels(labels) == labels
    with pytest.raises(LimitExceededError) as caught:
        check_labels({**labels, "more": "x"})
    assert caught.value.limit == "MAX_LABELS"


@pytest.mark.parametrize("labels", [{"": "x"}, {"a\0": "x"}, {"\udcff": "x"}, {"x": "\udcff"}])
def test_labels_that_cannot_be_kept_are_refused(labels):
    with pytest.raises(InvalidError):
        check_labels(labels)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("labels", "a"), "1"),
        (("labels", "x", "y/z"), "3"),
        (("labels", "x.y/z"), "3"),
        (("labels", "c"), None),
        (("labels",), None),
    ],
)
def test_label_is_found_however_its_key_is_cut(path, value):
    assert labels_value(OLD, path) == value
