import pytest

from orlop.errors import InvalidDocumentError, LimitExceededError
from orlop.spec.members import MAX_INT64, Members

HEX = "0123456789abcdef" * 4

ASKS = {
    "string": lambda members: members.string("x"),
    "optional_string": lambda members: members.optional_string("x"),
    "integer": lambda members: members.integer("x"),
    "size": lambda members: members.size("x"),
    "flag": lambda members: members.flag("x"),
    "digest": lambda members: members.digest("x"),
    "media_type": lambda members: members.media_type("x"),
    "array": lambda members: members.array("x", limit="MOST", most=2),
    "strings": lambda members: members.strings("x", limit="MOST", most=2),
    "mapping": lambda members: members.mapping("x", limit="MOST", most=2),
    "string_map": lambda members: members.string_map("x", limit="MOST", most=2),
    "names": lambda members: members.names("x"),
    "members": lambda members: members.members("x"),
}


def ask(kind, value):
    return ASKS[kind](Members({"x": value}, "$.a"))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "", ""),
        ("integer", -1, -1),
        ("integer", MAX_INT64, MAX_INT64),
        ("size", 0, 0),
        ("flag", True, True),
        ("flag", None, False),
        ("digest", f"sha256:{HEX}", f"sha256:{HEX}"),
        ("media_type", "a/b", "a/b"),
        ("array", [1, None], [1, None]),
        ("array", None, []),
        ("strings", ["a", "b"], ("a", "b")),
        ("strings", None, ()),
        ("mapping", {"a": 1}, {"a": 1}),
        ("mapping", None, None),
        ("string_map", {"a": ""}, {"a": ""}),
        ("string_map", None, {}),
        ("names", {"a": {}, "b": None}, ("a", "b")),
        ("names", None, ()),
    ],
)
def test_members_of_their_type_are_given_out(kind, value, expected):
    assert ask(kind, value) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", 1),
        ("string", None),
        ("string", ["a"]),
        ("optional_string", False),
        ("integer", "1"),
        ("integer", 1.0),
        ("integer", True),
        ("integer", None),
        ("integer", MAX_INT64 + 1),
        ("integer", -MAX_INT64 - 2),
        ("size", -1),
        ("flag", 1),
        ("flag", "true"),
        ("digest", None),
        ("digest", 5),
        ("digest", HEX),
        ("digest", f"sha256:{HEX.upper()}"),
        ("digest", "sha256:abc"),
        ("media_type", ""),
        ("media_type", "a"),
        ("media_type", None),
        ("array", {}),
        ("array", "ab"),
        ("strings", ["a", 1]),
        ("strings", ["a", None]),
        ("mapping", []),
        ("string_map", {"a": 1}),
        ("string_map", {"a": None}),
        ("names", ["a"]),
        ("names", {"a": 1}),
        ("members", None),
        ("members", []),
    ],
)
def test_members_of_another_type_are_refused_with_their_path(kind, value):
    with pytest.raises(InvalidDocumentError) as caught:
        ask(kind, value)
    assert caught.value.where.startswith("$.a.x")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("array", [1, 2, 3]),
        ("strings", ["a", "b", "c"]),
        ("mapping", {"a": 1, "b": 2, "c": 3}),
        ("string_map", {"a": "", "b": "", "c": ""}),
    ],
)
def test_too_many_elements_are_refused_with_the_limits_name(kind, value):
    with pytest.raises(LimitExceededError) as caught:
        ask(kind, value)
    assert (caught.value.limit, caught.value.value) == ("MOST", 2)


@pytest.mark.parametrize("value", [[], "a", 1, None])
def test_only_objects_have_members(value):
    with pytest.raises(InvalidDocumentError, match=r"^\$\.a: is no object$"):
        Members(value, "$.a")


def test_what_nobody_asked_for_is_unknown():
    members = Members({"x": "1", "y": None, "z": [1]}, "$")
    assert members.string("x") == "1"
    assert members.optional_string("absent") is None
    assert members.unknown() == {"y": None, "z": [1]}


@pytest.mark.parametrize("twin", ["X", "Layers", "LAYERS", "layer\u017f", "\u212aind"])
def test_keys_that_go_takes_for_known_ones_are_refused(twin):
    members = Members({twin: 1}, "$")
    for name in ("x", "layers", "kind"):
        members.optional_string(name)
    with pytest.raises(InvalidDocumentError, match="is spelt"):
        members.unknown()


def test_foreign_keys_are_refused_in_whatever_case():
    Members({"layers": 1}, "$").refuse({"manifests"}, "is foreign")
    for key in ("manifests", "Manifests", "manife\u017fts"):
        with pytest.raises(InvalidDocumentError, match="is foreign"):
            Members({key: None}, "$").refuse({"manifests"}, "is foreign")


def test_asking_leaves_the_document_as_it_was():
    document = {"x": "1"}
    Members(document, "$").string("x")
    assert document == {"x": "1"}
