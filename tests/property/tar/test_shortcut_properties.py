"""What is fast for ordinary archives gives what the slow way gives."""

from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orlop.tar.header import MalformedError, check_sum
from orlop.tar.limits import TarLimits
from orlop.tar.names import _normalise_slowly, normalise
from orlop.tar.pax import _TIME, _decode_any, _decode_lines, decode_time

TEXT = st.lists(st.sampled_from([b"path", b"a", b"1", b"=", b" ", b"\n", b"\0", b"19 "])).map(
    b"".join
)


def record(keyword, value):
    body = b" " + keyword + b"=" + value + b"\n"
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def result(function, *arguments):
    try:
        return function(*arguments)
    except MalformedError as error:
        return type(error), str(error)


@given(
    st.lists(st.one_of(st.builds(record, TEXT, TEXT), TEXT), min_size=1, max_size=3).map(b"".join)
)
def test_records_as_lines(body):
    """A record is its length, a blank, a keyword, an equals sign, a value and a newline."""
    found = _decode_lines(body)
    if found is not None:
        assert found == result(_decode_any, body)


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b c", b"path"]), st.just(b"v")), max_size=3))
def test_ordinary_records_are_read_as_lines(pairs):
    """Extended header records come in any order and number."""
    body = b"".join(record(keyword, value) for keyword, value in pairs)
    assert (_decode_lines(body) is not None) == (len(dict(pairs)) == len(pairs))


@given(
    st.lists(st.sampled_from([b"a", b".", b"..", b"/", b"//", b".wh.", b"\xff", b"n" * 255])).map(
        b"".join
    ),
    st.booleans(),
)
@example(b"a//", False)
def test_names(name, whiteouts):
    """A path is what is left without leading slashes, empty components and dots."""
    limits = TarLimits()
    quick = result(partial(normalise, whiteouts=whiteouts), name, limits)
    assert quick == result(partial(_normalise_slowly, whiteouts=whiteouts), name, limits)


@given(st.from_regex(_TIME, fullmatch=True))
def test_times(value):
    """Times are decimal numbers with a fraction, exact to the nanosecond."""
    sign, seconds, fraction = _TIME.fullmatch(value).groups(b"")
    if int(seconds) >= 2**63:
        with pytest.raises(MalformedError):
            decode_time(value)
        return
    scaled = int(seconds + fraction.ljust(64, b"0"))
    unit = 10 ** (64 - 9)
    assert decode_time(value) == (-scaled // unit if sign else scaled // unit)


@given(st.one_of(st.binary(min_size=512, max_size=512), st.just(b"\xff" * 512)))
def test_checksums(block):
    """The checksum is the sum of all bytes of the header, its own field taken as blanks."""
    total = sum(block[:148]) + 8 * 0x20 + sum(block[156:])
    field = b"%06o\0 " % total
    check_sum(block[:148] + field + block[156:], field)
    wrong = b"%06o\0 " % (total ^ 1)
    high = sum(byte > 127 for byte in block[:148] + block[156:])
    if total ^ 1 != total - 256 * high:
        with pytest.raises(MalformedError):
            check_sum(block[:148] + wrong + block[156:], wrong)
