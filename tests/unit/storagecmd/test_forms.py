"""Values as Go's packages write them; the expected texts were taken from containers-storage."""

import pytest

from orlop.storagecmd.forms import json_line, moment, quoted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/a", '"/a"'),
        ('/we\nird"é\\', '"/we\\nird\\"é\\\\"'),
        ("\udcff", '"\\xff"'),
        ("\x00\x1b\x7f\t\v", '"\\x00\\x1b\\x7f\\t\\v"'),
        ("\u200b\u00a0", '"\\u200b\\u00a0"'),
        ("\U000e0001", '"\\U000e0001"'),
        ("日本 語", '"日本 語"'),
    ],
)
def test_quoted_texts_show_every_byte(text, expected):
    assert quoted(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"id": "öä<&>"}, '{"id":"öä\\u003c\\u0026\\u003e"}'),
        ([{"Path": "/\udcff", "Kind": 1}], '[{"Path":"/\\ufffd","Kind":1}]'),
        ("a\u2028b", '"a\\u2028b"'),
        (None, "null"),
        ([], "[]"),
        ({"a": True, "b": 0, "c": '"\\\n'}, '{"a":true,"b":0,"c":"\\"\\\\\\n"}'),
    ],
)
def test_json_has_no_spaces_and_is_safe_in_html(value, expected):
    assert json_line(value) == expected


@pytest.mark.parametrize(
    ("time_ns", "expected"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_795_940_003_103_005_793, "2026-11-29T08:13:23.103005793Z"),
        (1_795_940_003_103_000_000, "2026-11-29T08:13:23.103Z"),
    ],
)
def test_moments_have_no_zeros_at_their_end(time_ns, expected):
    assert moment(time_ns) == expected
