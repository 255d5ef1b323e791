"""How owners are noted that cannot be given: byte for byte as umoci and PRoot note them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.unpack.rootless import decode_owner, encode_owner

OWNERS = st.integers(0, 2**32 - 2)


@pytest.mark.parametrize(
    ("uid", "gid", "value"),
    [
        (0, 0, b""),
        (33, 0, bytes.fromhex("082110ffffffff0f")),
        (0, 5, bytes.fromhex("08ffffffff0f1005")),
        (33, 70_000, bytes.fromhex("082110f0a204")),
        (2**32 - 2, 1, bytes.fromhex("08feffffff0f1001")),
    ],
)
def test_values(uid, gid, value):
    assert encode_owner(uid, gid) == value
    assert decode_owner(value) == (uid, gid)


@given(uid=OWNERS, gid=OWNERS)
def test_what_is_noted_is_read_again(uid, gid):
    assert decode_owner(encode_owner(uid, gid)) == (uid, gid)


@pytest.mark.parametrize(("value", "owner"), [("0821", (33, 0)), ("1005", (0, 5)), ("", (0, 0))])
def test_a_field_may_be_missing(value, owner):
    assert decode_owner(bytes.fromhex(value)) == owner


def test_minus_one_means_zero():
    assert decode_owner(bytes.fromhex("08ffffffff0f10ffffffff0f")) == (0, 0)


@pytest.mark.parametrize(
    "value",
    [b"\x08", b"\x08\x80", b"\x18\x01", b"\x08\xff\xff\xff\xff\x1f", b"\x08" + b"\x80" * 12, b"?"],
)
def test_what_is_none_is_no_owner(value):
    assert decode_owner(value) is None


@given(st.binary(max_size=30))
def test_any_bytes_are_read(value):
    """Anybody may write anything into an attribute `user.…`."""
    owner = decode_owner(value)
    assert owner is None or all(0 <= number < 2**32 - 1 for number in owner)
