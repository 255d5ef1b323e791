import json
import tracemalloc

import pytest

from orlop.errors import InvalidDocumentError, LimitExceededError
from orlop.spec.json import MAX_DEPTH, MAX_DOCUMENT_SIZE, decode_json, encode_json, find_json


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b'{"a":1,"a":1}', "$"),
        (b'{"a":1,"b":{"c":[{"x":1},{"x":1,"x":2}]}}', "$.b.c[1]"),
        (b'{"a":{"x":1,"x":2},"a":3}', "$"),
        (b'{"a b":{"x":1,"x":2}}', "$['a b']"),
        (b'{"a":1,"\\u0061":1}', "$"),
        (b'{"a" : 1 , "a"\r\n\t: 2}', "$"),
        (b'{":":":","a":{"b":":\\":","b":1}}', "$.a"),
        (b'{"a":NaN}', "$.a"),
        (b'{"a":[1,-Infinity]}', "$.a[1]"),
        (b'{"a":Infinity}', "$.a"),
        (b'{"a":1e999}', "$.a"),
        (b'{"a":"\\ud800"}', "$.a"),
        (b'{"a":"\\uDC00x"}', "$.a"),
        (b'{"a":{"\\uD800":1}}', "$.a"),
    ],
)
def test_what_readers_disagree_about_is_refused_with_its_path(raw, where):
    with pytest.raises(InvalidDocumentError) as caught:
        decode_json(raw)
    assert caught.value.where == where


@pytest.mark.parametrize(
    "document",
    [{"a": ":x"}, {"a": " : "}, {":": ":"}, {'":': '\\":'}, {"a": [':"', {'"': "\n:"}]}],
)
@pytest.mark.parametrize("form", [{"separators": (",", ":")}, {"indent": 1}, {}])
def test_colons_in_texts_are_no_second_keys(document, form):
    assert decode_json(json.dumps(document, **form).encode()) == document


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"{}x",
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":01}',
        b'{"a":.5}',
        b'{"a":0x10}',
        b'{"a":"\n"}',
        b'{"a":\xff}',
        b'{"a":"\xc0\x80"}',
        b'{"a":"\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        b" \xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-32-le"),
        b"\x00",
        b"{}\x00",
        b'{"a":' + b"9" * 5000 + b"}",
        b"[]",
        b"null",
        b'"x"',
        b"1",
    ],
)
def test_what_is_no_json_object_in_utf8_is_refused(raw):
    with pytest.raises(InvalidDocumentError):
        decode_json(raw)


def test_message_calls_the_document_by_its_kind():
    with pytest.raises(InvalidDocumentError, match="manifest is no JSON object"):
        decode_json(b"[]", what="manifest")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"a":"\\ud83d\\ude00"}', {"a": "\N{GRINNING FACE}"}),
        (b'{"a":"\\\\ud800"}', {"a": "\\ud800"}),
        (b'{"a":"NaN"}', {"a": "NaN"}),
        (b' \r\n\t{"a":-0, "b" : 1.5e3 }\n', {"a": 0, "b": 1500.0}),
        (b'{"":null}', {"": None}),
        (b'{"a":123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
    ],
)
def test_unusual_documents_that_mean_one_thing_are_read(raw, expected):
    assert decode_json(raw) == expected


def test_size_limit_is_inclusive():
    raw = b'{"a":"' + b"x" * (MAX_DOCUMENT_SIZE - 8) + b'"}'
    assert len(raw) == MAX_DOCUMENT_SIZE
    assert len(decode_json(raw)) == 1
    with pytest.raises(LimitExceededError) as caught:
        decode_json(raw + b" ")
    assert (caught.value.limit, caught.value.value) == ("MAX_DOCUMENT_SIZE", MAX_DOCUMENT_SIZE)
    with pytest.raises(LimitExceededError):
        decode_json(b"{  }", limit=3)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_limit_is_inclusive(opening, closing):
    def nested(depth):
        middle = b"0" if opening != b"[" else b""
        return b'{"a":' + opening * (depth - 1) + middle + closing * (depth - 1) + b"}"

    assert decode_json(nested(MAX_DEPTH))
    with pytest.raises(LimitExceededError) as caught:
        decode_json(nested(MAX_DEPTH + 1))
    assert caught.value.limit == "MAX_DEPTH"


def test_wide_documents_are_not_deep():
    wide = {"a": [[] for _ in range(1000)], "b": [{"c": [i]} for i in range(1000)]}
    assert decode_json(encode_json(wide)) == wide


@pytest.mark.parametrize("unit", [b"[", b'{"a":'])
def test_nesting_beyond_the_parsers_own_stack_is_refused(unit):
    with pytest.raises(LimitExceededError) as caught:
        decode_json(b'{"a":' + unit * 200_000)
    assert caught.value.limit == "MAX_DEPTH"


def test_many_keys_with_one_twin_are_refused_without_effort_beyond_their_number():
    keys = b",".join(b'"%d":0' % at for at in range(200_000))
    with pytest.raises(InvalidDocumentError, match="'199999' comes twice"):
        decode_json(b"{" + keys + b',"199999":1}')


def test_encoding_is_compact_and_keeps_the_order():
    assert encode_json({"b": [1, True, None], "a": "ä<"}) == '{"b":[1,true,null],"a":"ä<"}'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_json_cannot_say_is_not_written(value):
    with pytest.raises(ValueError):
        encode_json({"a": value})


@pytest.mark.parametrize(
    ("sought", "where"),
    [
        ({"b c": 2}, "$.a[1]"),
        (1, "$.a[0]"),
        (2, "$.a[1]['b c']"),
        (3, f"$['{'k' * 100}']"),
        (4, None),
    ],
)
def test_a_value_is_found_with_its_path(sought, where):
    document = {"a": [1, {"b c": 2}], "k" * 101: 3}
    assert find_json(document, lambda value: value == sought) == where


def test_parents_are_found_before_their_children():
    assert find_json({"a": [[]]}, lambda value: isinstance(value, list)) == "$.a"


def peak_memory(action):
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("flaw", [b'"\\ud83d"', b'{"a":1,"a":2}', b"1e999"])
def test_long_keys_above_many_values_take_no_memory(flaw):
    """Each value's path, were it made, would have a megabyte."""
    before = b'{"%s":[%s' % (b"k" * 1_000_000, b"0," * 20_000)
    assert peak_memory(lambda: decode_json(before + b'"\\ud83d\\ude00"]}')) < 32 << 20

    def refused():
        with pytest.raises(InvalidDocumentError) as caught:
            decode_json(before + flaw + b"]}")
        assert caught.value.where.endswith("[20000]")

    assert peak_memory(refused) < 32 << 20
